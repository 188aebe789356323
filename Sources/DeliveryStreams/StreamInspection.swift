package import Destinations
internal import JSON
internal import Platform
package import Records

/// The streams of a data folder as they are described there, without a server: for looking at, never for
/// changing.
package struct StreamInspection: DeliveryStreamRegistry {
    /// Who the server would be.
    package let identity: ServiceIdentity
    /// Streams that can be read, by name.
    package private(set) var streams: [String: DeliveryStream] = [:]
    /// Folders whose description cannot be read, and why.
    package private(set) var unreadable: [(folder: String, reason: String)] = []
    private let admission: StreamAdmission
    private let logs: any RecordLogInspection
    private let root: String

    /// Reads what is in a data folder; one that does not exist has no streams.
    ///
    /// Blocks.
    package init(
        dataFolder: String,
        logs: any RecordLogInspection,
        identity: ServiceIdentity,
        admission: StreamAdmission
    ) {
        self.identity = identity
        self.logs = logs
        self.admission = admission
        root = dataFolder + "/streams"
        guard Folder.exists(root) else { return }
        let names: [String]
        do {
            names = try Folder.list(root)
        } catch {
            unreadable.append((root, "\(error)"))
            return
        }
        for name in names where name.hasSuffix(DataFolder.streamSuffix) {
            do {
                let stream = try StreamFile.load(root + "/" + name)
                streams[stream.name] = stream
            } catch {
                unreadable.append((root + "/" + name, "\(error)"))
            }
        }
    }

    /// What a stream needs of other places.
    package struct Needs: Sendable {
        /// Buckets, with what for.
        package var buckets: [(name: String, use: String)] = []
        /// Where records go one by one.
        package var records: DestinationConfiguration?
        /// Where objects are loaded.
        package var warehouse: RedshiftConfiguration?
        /// The destination's URL without anything secret; nil for buckets.
        package var url: String?
    }

    /// Why the records of a stored stream cannot be read; nil where they can be.
    ///
    /// Blocks.
    package func encryptionFailure(of name: String) -> LogKeyFailure? {
        StreamDelivery.logs(of: root + "/" + name + DataFolder.streamSuffix).lazy
            .compactMap { logs.encryptionFailure(of: $0) }.first
    }

    /// What a stream needs; nothing where it is not delivered.
    ///
    /// - Throws: InvalidArgument where its configuration is not one.
    package static func needs(of stream: DeliveryStream) throws(FirehoseError) -> Needs {
        var needs = Needs()
        guard StreamRules.undeliverableMembers(of: stream.destination).isEmpty else { return needs }
        let type = DestinationType.of(stream.destination.kind)
        if let objects = try stream.destination.objects {
            let isMain = type.errorOutputType == nil
            needs.buckets.append((objects.bucket, isMain ? "destination" : "failed records"))
        }
        if let backup = try StreamRules.backupDestination(of: stream) {
            needs.buckets.append((backup.bucket, "backup"))
        }
        if type.errorOutputType != nil { needs.records = stream.destination }
        needs.url = type.endpoint(of: stream.destination)
            .map { String($0.text.prefix { $0 != "?" }) }
        if case .warehouse = type.delivery {
            // What is wrong with it is a finding of its own; its buckets are asked for all the same.
            needs.warehouse = try? RedshiftConfiguration(stream.destination)
        }
        return needs
    }

    // MARK: As a registry that changes nothing

    package func check(_ stream: DeliveryStream) throws(FirehoseError) {
        try admission.check(stream)
    }

    package func describe(_ name: String) throws(FirehoseError) -> DescribedStream {
        guard let stream = streams[name] else {
            throw .notFound(name, account: identity.account)
        }
        return DescribedStream(stream, .active)
    }

    package func list(after start: String?, limit: Int) -> (names: [String], hasMore: Bool) {
        (streams.keys.sorted(), false)
    }

    private static let refusal = FirehoseError(.internalFailure, "Nothing is changed here.")

    package func create(_ stream: DeliveryStream) async throws(FirehoseError) {
        throw Self.refusal
    }

    package func update(
        _ name: String,
        _ change: @escaping @Sendable (inout DeliveryStream) throws(FirehoseError) -> Void
    ) async throws(FirehoseError) { throw Self.refusal }

    package func startEncryption(
        _ name: String,
        _ encryption: StreamEncryption
    ) async throws(FirehoseError) { throw Self.refusal }

    package func stopEncryption(_ name: String) async throws(FirehoseError) { throw Self.refusal }

    package func delete(_ name: String) async throws(FirehoseError) { throw Self.refusal }
}
