import Compression
import Destinations
import DurableLog
import Foundation
import Logging
import Platform
import Records
import TestSupport
import TransformHost

@testable import Delivery

/// A registry on a temporary folder with a clock that tests move, which can be killed and started.
final class DeliveryHarness {
    let folder = TemporaryFolder()
    let time = ManualTime()
    private(set) var registry: StreamRegistry
    private var logs: LogStore
    private var data: DataFolder?

    init(_ store: any ObjectStore, retryDuration: Duration = .seconds(86400)) async throws {
        let (registry, logs, data) = try Self.start(folder, store, time, retryDuration)
        self.registry = registry
        self.logs = logs
        self.data = data
    }

    private static func start(
        _ folder: TemporaryFolder,
        _ store: any ObjectStore,
        _ time: ManualTime,
        _ retryDuration: Duration
    ) throws -> (StreamRegistry, LogStore, DataFolder) {
        let identity = ServiceIdentity(region: "us-east-1", account: "000000000000")
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let data = try DataFolder(folder("data"))
        let logs = try LogStore(
            spareFolder: data.spareSegments,
            options: LogOptions(
                firstSegmentBytes: 64 * 1024,
                segmentBytes: 1024 * 1024,
                minimumFreeDiskBytes: 0,
                time: time
            ),
            logger: logger
        )
        let registry = try StreamRegistry(
            folder: data,
            logs: logs,
            options: DeliveryOptions(
                store: store,
                retryDuration: retryDuration,
                retryDelays: RetryDelays(base: .seconds(1), cap: .seconds(1)),
                transforms: TransformHost(
                    folder: folder("transforms"),
                    identity: identity,
                    time: time,
                    logger: logger
                ),
                time: time
            ),
            identity: identity,
            policy: StreamPolicy(minimumBufferIntervalSeconds: 0),
            logger: logger
        )
        return (registry, logs, data)
    }

    /// Stops and starts again on the same folder, with another store.
    func restart(_ store: any ObjectStore, retryDuration: Duration = .seconds(86400)) async throws {
        if data != nil { await stop() }
        let (registry, logs, data) = try Self.start(folder, store, time, retryDuration)
        self.registry = registry
        self.logs = logs
        self.data = data
    }

    func stop() async {
        await registry.shutDown()
        logs.shutDown()
        data?.release()
        data = nil
    }

    func create(
        _ name: String = "s",
        size: Int = 1,
        interval: Int = 60,
        compression: CompressionFormat = .uncompressed,
        prefix: String? = nil,
        processors: [JSONValue] = []
    ) async throws {
        var destination = DestinationConfiguration.s3(
            S3Destination(
                bucketARN: "arn:aws:s3:::bucket",
                prefix: prefix,
                bufferingHints: BufferingHints(sizeInMBs: size, intervalInSeconds: interval),
                compressionFormat: compression
            )
        )
        if !processors.isEmpty {
            destination.members["ProcessingConfiguration"] = [
                "Enabled": true, "Processors": .array(processors),
            ]
        }
        try await registry.create(
            DeliveryStream(name: name, createTimestamp: time.now(), destination: destination)
        )
    }

    func put(_ records: [[UInt8]], to name: String = "s") async throws {
        _ = try await withCheckedThrowingContinuation { continuation in
            registry.append(RecordBatch(records), toStream: name) { continuation.resume(with: $0) }
        }
    }

    /// Waits until the journal has no entries: what is asked is done by other threads, and leaves no
    /// other trace.
    func whenJournalIsEmpty(_ name: String = "s") async throws {
        try await whenJournal(name) { $0.isEmpty }
    }

    /// Waits until a buffer that an earlier one holds up is marked as settled.
    func whenSettledIsJournalled(_ name: String = "s") async throws {
        try await whenJournal(name) { $0.contains { $0.contains("isSettled") } }
    }

    private func whenJournal(_ name: String, _ condition: ([String]) -> Bool) async throws {
        let path = folder("data/streams/\(name).stream/in-flight")
        for _ in 0..<20_000 {
            let entries = try Folder.list(path).map { name in
                // An entry that is gone meanwhile has nothing to say.
                let bytes = try? Folder.readFile(path + "/" + name)
                return bytes.map { String(decoding: $0, as: UTF8.self) }
            }
            if condition(entries.compactMap(\.self)) { return }
            try await Task.sleep(for: .milliseconds(1))
        }
        throw CancellationError()
    }
}
