package import Destinations
internal import Foundation
internal import JSON
internal import Platform
package import Records

/// A sealed buffer: what was decided about it before its first attempt.
package struct JournalEntry: Sendable, Codable, Hashable {
    /// The format: 2 for a buffer that does not end as an object, else 1.
    package var version = 1
    /// The buffer's number in its stream.
    package var sequence: UInt64
    /// Its first record.
    package var start: LogMark
    /// Behind its last.
    package var end: LogMark
    /// What is written where; where records go to a destination of their own, the object of those that
    /// it does not take.
    package var plan: ObjectPlan
    /// Where records go one by one; nil where they become an object.
    package var records: RecordsPlan?
    /// Where failed records go, by the raw value of their `ErrorOutputType`; nil for a buffer of
    /// records as they were put, which cannot have failed.
    package var failurePlans: [String: ObjectPlan]?
    /// When the first attempt was made; retries end so long after.
    package var firstAttempt: Timestamp
    /// What its failed records came to; with it, no record of the buffer is sent again.
    package var failures: KeptFailures?
    /// Whether nothing is left to do but to move the checkpoint, which waits for an earlier buffer.
    package var isSettled: Bool?
    /// What is delivered of it, where its records go one by one; nil for nothing that is known.
    package var progress: DeliveryProgress?
    /// What its object is loaded into; nil where it stays an object.
    package var copy: CopyPlan?
    /// How far that has come; nil before the object and its manifest are stored.
    package var load: LoadState?

    /// An entry.
    package init(
        sequence: UInt64,
        start: LogMark,
        end: LogMark,
        plan: ObjectPlan,
        failurePlans: [String: ObjectPlan]? = nil,
        records: RecordsPlan? = nil,
        copy: CopyPlan? = nil,
        firstAttempt: Timestamp
    ) {
        version = records == nil && copy == nil ? 1 : 2
        self.copy = copy
        self.sequence = sequence
        self.start = start
        self.end = end
        self.plan = plan
        self.failurePlans = failurePlans
        self.records = records
        self.firstAttempt = firstAttempt
    }
}

/// A destination that takes a buffer's records one by one.
package struct RecordsPlan: Sendable, Codable, Hashable {
    /// Its configuration, without what is of no matter for a sealed buffer.
    package var destination: DestinationConfiguration
    /// What is put behind each record.
    package var delimiter: String?

    /// A destination.
    package init(destination: DestinationConfiguration, delimiter: String? = nil) {
        self.destination = destination
        self.delimiter = delimiter
        for name in Self.others { self.destination.members[name] = nil }
    }

    private static let others = [
        "RoleARN", "BufferingHints", "S3Configuration", "S3BackupMode", "ProcessingConfiguration",
        "CloudWatchLoggingOptions", "VpcConfiguration", "SecretsManagerConfiguration",
    ]
}

/// How far a buffer whose records go one by one has come.
package struct DeliveryProgress: Sendable, Codable, Hashable {
    /// The number of the record behind the last that an answer was for.
    var next: UInt64
    /// The numbers of those before it that are not delivered, in order.
    var open: [UInt64]

    /// Whether a record is delivered.
    func isDelivered(_ number: UInt64) -> Bool {
        guard number < next else { return false }
        var (low, high) = (0, open.count)
        while low < high {
            let middle = (low + high) / 2
            if open[middle] < number { low = middle + 1 } else { high = middle }
        }
        return low == open.count || open[low] != number
    }
}

extension JournalEntry {
    /// The objects of failed records, by what they are delivered as.
    var failureObjects: [ErrorOutputType: ObjectPlan] {
        var objects: [ErrorOutputType: ObjectPlan] = [:]
        for (type, plan) in failurePlans ?? [:] {
            if let type = ErrorOutputType(rawValue: type) { objects[type] = plan }
        }
        if let kind = records?.destination.kind, let type = ErrorOutputType(of: kind) {
            objects[type] = plan
        }
        return objects
    }
}

/// The sealed buffers of a stream on disk, a file each.
///
/// An entry is durable before the first PUT, and removed only after the checkpoint has passed it: so a
/// crash at any moment leaves either no trace of a buffer in the bucket, or the entry that says which
/// key to write again.
struct InFlightJournal: Sendable {
    private static let suffix = ".json"
    private static let failuresSuffix = ".failed"
    private let folder: String

    init(folder: String) throws(SystemError) {
        self.folder = folder
        try Folder.create(folder)
    }

    /// All entries in order.
    func load() throws -> [JournalEntry] {
        var entries: [JournalEntry] = []
        for name in try Folder.list(folder) where name.hasSuffix(Self.suffix) {
            let path = folder + "/" + name
            do {
                let entry = try JSONDecoder().decode(
                    JournalEntry.self,
                    from: Data(try Folder.readFile(path))
                )
                guard (1...2).contains(entry.version) else {
                    throw Failure(description: "it is of format \(entry.version), not 1 or 2")
                }
                entries.append(entry)
            } catch {
                throw Failure(description: "the journal entry \(path) cannot be read: \(error)")
            }
        }
        return entries.sorted { $0.sequence < $1.sequence }
    }

    /// Removes the entries that the checkpoint has passed, and gives the others, which must join it
    /// and each other without a gap.
    func resume(_ entries: [JournalEntry], from checkpoint: LogMark) throws -> [JournalEntry] {
        for entry in entries where entry.end.position <= checkpoint.position {
            try remove(entry.sequence)
        }
        let open = entries.filter { $0.end.position > checkpoint.position }
        var place = checkpoint.position
        for entry in open {
            guard entry.start.position == place else {
                throw Failure(
                    description: "the journal entry \(path(entry.sequence)) does not join what is "
                        + "before it: its folder or the checkpoint was changed"
                )
            }
            place = entry.end.position
        }
        let kept = Set(open.map { failuresFolder($0.sequence) })
        for name in try Folder.list(folder) where name.hasSuffix(Self.failuresSuffix) {
            let path = folder + "/" + name
            if !kept.contains(path) { try Folder.remove(path) }
        }
        return open
    }

    /// A journal that cannot be used, and why.
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    /// Makes an entry durable, in place of what it was before.
    func add(_ entry: JournalEntry) throws {
        let bytes = try JSONEncoder().encode(entry)
        // What a destination is reached with is in it.
        try Folder.replaceFile(path(entry.sequence), with: [UInt8](bytes), permissions: 0o600)
    }

    /// Forgets a buffer.
    ///
    /// A removal that a crash undoes is harmless: the checkpoint has passed it.
    func remove(_ sequence: UInt64) throws(SystemError) {
        try Folder.remove(path(sequence))
        let failures = failuresFolder(sequence)
        if Folder.exists(failures) { try Folder.remove(failures) }
    }

    /// Where the failed records of a buffer are kept.
    func failuresFolder(_ sequence: UInt64) -> String { base(sequence) + Self.failuresSuffix }

    private func path(_ sequence: UInt64) -> String { base(sequence) + Self.suffix }

    private func base(_ sequence: UInt64) -> String {
        folder + "/" + CivilTime.padded(Int(sequence), 12)
    }
}
