package import Destinations
internal import Foundation
internal import Platform
package import Records

/// A sealed buffer: what was decided about it before its first attempt.
package struct JournalEntry: Sendable, Codable, Hashable {
    /// The format; this program writes and reads 1.
    package var version = 1
    /// The buffer's number in its stream.
    package var sequence: UInt64
    /// Its first record.
    package var start: LogMark
    /// Behind its last.
    package var end: LogMark
    /// What is written where.
    package var plan: ObjectPlan
    /// Where failed records go, by the raw value of their `ErrorOutputType`; nil for a buffer of
    /// records as they were put, which cannot have failed.
    package var failurePlans: [String: ObjectPlan]?
    /// When the first attempt was made; retries end so long after.
    package var firstAttempt: Timestamp

    /// An entry.
    package init(
        sequence: UInt64,
        start: LogMark,
        end: LogMark,
        plan: ObjectPlan,
        failurePlans: [String: ObjectPlan]? = nil,
        firstAttempt: Timestamp
    ) {
        self.sequence = sequence
        self.start = start
        self.end = end
        self.plan = plan
        self.failurePlans = failurePlans
        self.firstAttempt = firstAttempt
    }
}

/// The sealed buffers of a stream on disk, a file each.
///
/// An entry is durable before the first PUT, and removed only after the checkpoint has passed it: so a
/// crash at any moment leaves either no trace of a buffer in the bucket, or the entry that says which
/// key to write again.
struct InFlightJournal: Sendable {
    private static let suffix = ".json"
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
                guard entry.version == 1 else {
                    throw Failure(description: "it is of format \(entry.version), not 1")
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
        return open
    }

    /// A journal that cannot be used, and why.
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    func add(_ entry: JournalEntry) throws {
        let bytes = try JSONEncoder().encode(entry)
        try Folder.replaceFile(path(entry.sequence), with: [UInt8](bytes))
    }

    /// Forgets a buffer.
    ///
    /// A removal that a crash undoes is harmless: the checkpoint has passed it.
    func remove(_ sequence: UInt64) throws(SystemError) { try Folder.remove(path(sequence)) }

    private func path(_ sequence: UInt64) -> String {
        folder + "/" + CivilTime.padded(Int(sequence), 12) + Self.suffix
    }
}
