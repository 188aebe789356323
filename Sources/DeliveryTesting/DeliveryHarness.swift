internal import Delivery
package import DeliveryStreams
package import Destinations
internal import Foundation
package import JSON
internal import Logging
internal import Platform
package import Records
package import TestSupport
internal import Transforms

/// A registry on a temporary folder with a clock that tests move, which can be stopped and started.
package final class DeliveryHarness {
    /// What delivery goes through.
    package struct Parts: Sendable {
        /// Where objects go.
        package var store: any ObjectStore
        /// How long after the first attempt an object is set aside.
        package var retryDuration: Duration
        /// Makes destinations that take records.
        package var recordDestinations: (any RecordDestinationFactory)?
        /// Loads warehouses.
        package var copies: CopyService?
        /// Where configurations of streams are; nil for the data folder.
        package var streams: (any StreamStore)?

        /// Parts.
        package init(
            store: any ObjectStore,
            retryDuration: Duration = .seconds(86400),
            recordDestinations: (any RecordDestinationFactory)? = nil,
            copies: CopyService? = nil,
            streams: (any StreamStore)? = nil
        ) {
            self.copies = copies
            self.streams = streams
            self.store = store
            self.retryDuration = retryDuration
            self.recordDestinations = recordDestinations
        }
    }

    /// Who the server is.
    package static let identity = ServiceIdentity(region: "us-east-1", account: "000000000000")

    /// Holds all that the server writes.
    package let folder = TemporaryFolder()
    /// The server's clock.
    package let time: ManualTime
    /// The streams.
    package private(set) var registry: StreamRegistry
    private let logs: TestLogs
    private var data: DataFolder?

    /// Starts with a store of objects alone.
    package convenience init(
        _ store: any ObjectStore,
        retryDuration: Duration = .seconds(86400),
        logs: LogKind = .files
    ) async throws {
        try self.init(Parts(store: store, retryDuration: retryDuration), logs: logs)
    }

    /// Starts.
    package init(
        _ parts: Parts,
        time: ManualTime = ManualTime(),
        logs kind: LogKind = .files,
        freeBytes: @escaping @Sendable (String) -> UInt64? = Folder.freeBytes
    ) throws {
        self.time = time
        logs = TestLogs(
            kind,
            spareFolder: folder("data/spare"),
            time: time,
            freeBytes: freeBytes
        )
        let (registry, data) = try Self.start(folder, logs, parts, time)
        self.registry = registry
        self.data = data
    }

    private static func start(
        _ folder: TemporaryFolder,
        _ logs: TestLogs,
        _ parts: Parts,
        _ time: ManualTime
    ) throws -> (StreamRegistry, DataFolder) {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let data = try DataFolder(folder("data"))
        let registry = try StreamRegistry(
            folder: data,
            store: parts.streams,
            logs: try logs.start(),
            options: DeliveryOptions(
                store: parts.store,
                retryDuration: parts.retryDuration,
                retryDelays: RetryDelays(base: .seconds(1), cap: .seconds(1), jitter: .about(0)),
                recordDestinations: parts.recordDestinations,
                copies: parts.copies,
                time: time
            ),
            transforms: TransformEnvironment(
                host: TransformHost(
                    folder: folder("transforms"),
                    identity: identity,
                    time: time,
                    logger: logger
                )
            ),
            identity: identity,
            policy: StreamPolicy(minimumBufferIntervalSeconds: 0),
            logger: logger
        )
        return (registry, data)
    }

    /// Stops and starts again on the same folder, with another store.
    package func restart(
        _ store: any ObjectStore,
        retryDuration: Duration = .seconds(86400)
    ) async throws {
        try await restart(Parts(store: store, retryDuration: retryDuration))
    }

    /// Stops and starts again on the same folder.
    package func restart(_ parts: Parts) async throws {
        if data != nil { await stop() }
        let (registry, data) = try Self.start(folder, logs, parts, time)
        self.registry = registry
        self.data = data
    }

    /// Stops, with what is under way left as it is.
    package func stop() async {
        await registry.shutDown()
        logs.stop()
        data?.release()
        data = nil
    }

    /// Does something with the logs of the server while it is stopped; it has to close them.
    package func withLogs(_ body: (any RecordLogs) async throws -> Void) async throws {
        defer { logs.stop() }
        try await body(logs.start())
    }

    /// Creates a stream to a bucket.
    package func create(
        _ name: String = "s",
        size: Int = 1,
        interval: Int = 60,
        compression: CompressionFormat = .uncompressed,
        processors: [JSONValue] = []
    ) async throws {
        var destination = DestinationConfiguration.s3(
            S3Destination(
                bucketARN: "arn:aws:s3:::bucket",
                bufferingHints: BufferingHints(sizeInMBs: size, intervalInSeconds: interval),
                compressionFormat: compression
            )
        )
        if !processors.isEmpty {
            destination.members["ProcessingConfiguration"] = [
                "Enabled": true, "Processors": .array(processors),
            ]
        }
        try await create(name, destination)
    }

    /// Creates a stream to any destination.
    package func create(_ name: String, _ destination: DestinationConfiguration) async throws {
        try await registry.create(
            DeliveryStream(name: name, createTimestamp: time.now(), destination: destination)
        )
    }

    /// Puts records, and waits for the acknowledgement.
    package func put(_ records: [[UInt8]], to name: String = "s") async throws {
        _ = try await withCheckedThrowingContinuation { continuation in
            registry.append(RecordBatch(records), toStream: name, by: .putRecordBatch) {
                continuation.resume(with: $0)
            }
        }
    }

    /// Waits until the journal has no entries: what is asked is done by other threads, and leaves no
    /// other trace.
    package func whenJournalIsEmpty(_ name: String = "s") async throws {
        try await whenJournal(name) { $0.isEmpty }
    }

    /// Waits until a buffer that an earlier one holds up is marked as settled.
    package func whenSettledIsJournalled(_ name: String = "s") async throws {
        try await whenJournal(name) { $0.contains { $0.contains("isSettled") } }
    }

    private func whenJournal(_ name: String, _ condition: ([String]) -> Bool) async throws {
        let path = folder("data/streams/\(name).stream/in-flight")
        try await eventually {
            let entries = try Folder.list(path).map { name in
                // An entry that is gone meanwhile has nothing to say.
                let bytes = try? Folder.readFile(path + "/" + name)
                return bytes.map { String(decoding: $0, as: UTF8.self) }
            }
            return condition(entries.compactMap(\.self))
        }
    }

    /// What was waited for did not come.
    package struct TimeOver: Error {}

    /// Waits for what other threads do, and what leaves no other trace.
    ///
    /// - Throws: `TimeOver` after a minute.
    package func eventually(_ condition: () throws -> Bool) async throws {
        let end = ContinuousClock.now + .seconds(60)
        while try !condition() {
            guard ContinuousClock.now < end else { throw TimeOver() }
            try await Task.sleep(for: .milliseconds(1))
        }
    }
}
