internal import Crypto
internal import Delivery
package import Destinations
internal import JSON
internal import Platform
package import Records

/// Loads what was given up: the error manifests of a stream with a warehouse.
package struct ManifestBackfill: Sendable {
    /// What became of a manifest.
    package enum Outcome: Sendable {
        case loaded
        case loadedBefore
        /// It is loaded, and still where it was.
        case notMoved(DeliveryFailure)
        case failed(DeliveryFailure)
    }

    /// A stream that cannot be loaded from, and why.
    package struct Failure: Error, CustomStringConvertible {
        package var description: String
    }

    private let stream: DeliveryStream
    private let bucket: String
    private let prefix: String
    private let warehouse: RedshiftConfiguration
    private let store: any BrowsableStore
    private let copies: CopyService
    private let time: any TimeSource

    /// For a stream as it is configured in a data folder, which a server may use meanwhile.
    ///
    /// Blocks.
    ///
    /// - Throws: `Failure` where there is no such stream, or it has no warehouse.
    package init(
        stream name: String,
        dataFolder: String,
        store: any BrowsableStore,
        copies: CopyService,
        time: any TimeSource
    ) throws {
        let folder = "\(dataFolder)/streams/\(name).stream"
        guard !name.contains("/"), Folder.exists(folder + "/stream.json") else {
            throw Failure(description: "there is no stream \(name) in \(dataFolder)")
        }
        stream = try StreamFile.load(folder)
        guard stream.destination.kind == .redshift, let objects = try stream.destination.objects
        else {
            throw Failure(
                description: "the stream \(name) delivers to \(stream.destination.kind.rawValue), "
                    + "not to Redshift"
            )
        }
        bucket = objects.bucket
        prefix = objects.prefix ?? ""
        warehouse = try RedshiftConfiguration(stream.destination)
        self.store = store
        self.copies = copies
        self.time = time
    }

    /// Lists the error manifests of some hours.
    ///
    /// - Parameters:
    ///   - from: The first time; its whole hour is taken.
    ///   - to: The last time.
    /// - Returns: Their keys, oldest first.
    /// - Throws: `DeliveryFailure` of the bucket; `CancellationError`.
    package func manifests(from: Timestamp?, to: Timestamp?) async throws -> [String] {
        let folder = prefix + CopyPlan.errorManifests
        return try await store.keys(bucket: bucket, prefix: folder).filter { key in
            guard isOfStream(key) else { return false }
            // yyyy/MM/dd/HH: texts sort as their times do.
            let hour = String(key.dropFirst(folder.count).prefix(13))
            return (from.map { Self.hour($0) <= hour } ?? true)
                && (to.map { hour <= Self.hour($0) } ?? true)
        }
    }

    /// Whether a manifest is of this stream: others may share the bucket and the prefix.
    private func isOfStream(_ key: String) -> Bool {
        let name = key.split(separator: "/").last ?? ""
        guard name.hasPrefix(stream.name + "-") else { return false }
        let rest = name.dropFirst(stream.name.count + 1)
        return rest.wholeMatch(
            of: /\d+-\d{4}(-\d\d){5}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-manifest/
        )
            != nil
    }

    private static func hour(_ moment: Timestamp) -> String {
        let time = CivilTime(moment)
        let parts = [(time.year, 4), (time.month, 2), (time.day, 2), (time.hour, 2)]
        return parts.map { CivilTime.padded($0.0, $0.1) }.joined(separator: "/")
    }

    /// Where the manifests are.
    package var place: String { url(prefix + CopyPlan.errorManifests) }

    /// An object's URL.
    package func url(_ key: String) -> String { "s3://\(bucket)/\(key)" }

    /// Loads one, and moves it to those that are loaded.
    ///
    /// - Throws: `CancellationError` alone.
    package func load(_ key: String) async throws -> Outcome {
        let rest = key.dropFirst((prefix + CopyPlan.errorManifests).count)
        let uuid = UUIDText.random()
        do {
            // First, so that nothing is loaded that cannot be moved, or was moved by another.
            let content = try await store.content(bucket: bucket, key: key)
            let outcome = try await copies.load(
                CopyService.Job(
                    warehouse: warehouse,
                    manifest: url(key),
                    ledgerKey: url(prefix + CopyPlan.manifests + rest),
                    stream: stream.name,
                    token: uuid
                )
            )
            let result: Outcome
            switch outcome {
            case .loaded: result = .loaded
            case .loadedBefore: result = .loadedBefore
            case .failed(let failure), .notRun(let failure), .unknown(let failure):
                return .failed(failure)
            }
            let plan = ObjectPlan(
                bucket: bucket,
                key: prefix + CopyPlan.loadedManifests + rest,
                uuid: uuid,
                arrival: time.now()
            )
            return try await move(content, key, plan) ?? result
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            return .failed(Self.failure(error))
        }
    }

    /// Moves a loaded manifest; gives what went wrong.
    private func move(
        _ content: [UInt8],
        _ key: String,
        _ plan: ObjectPlan
    ) async throws -> Outcome? {
        let object = SpooledObject(
            content: MemorySource(content),
            byteCount: UInt64(content.count),
            sha256: Array(SHA256.hash(data: content))
        )
        do {
            if case .failed(let failure) = try await store.put(object, as: plan) {
                return .notMoved(failure)
            }
            try await store.remove(bucket: bucket, key: key)
            return nil
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            return .notMoved(Self.failure(error))
        }
    }

    private static func failure(_ error: any Error) -> DeliveryFailure {
        error as? DeliveryFailure ?? DeliveryFailure(code: "Bucket.Error", message: "\(error)")
    }
}
