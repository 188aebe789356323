package import Destinations
package import Records

/// The sealed buffers of one way out of a stream, durably.
///
/// An entry is durable before the first PUT, and forgotten only after the checkpoint has passed it: so a
/// crash at any moment leaves either no trace of a buffer in the bucket, or the entry that says which key
/// to write again.
package protocol BufferJournal: Sendable {
    /// All entries in order, for `resume`. Blocks.
    func load() throws -> [JournalEntry]

    /// Forgets the entries that the checkpoint has passed, and gives the others, which must join it and
    /// each other without a gap. Blocks.
    func resume(from checkpoint: LogMark) throws -> [JournalEntry]

    /// Makes an entry durable, and gives the one that won: where several servers propose, the first that
    /// begins at its place.
    func propose(_ entry: JournalEntry) async throws -> JournalEntry

    /// Makes durable what is new about a buffer.
    func note(_ note: JournalNote, of sequence: UInt64) async throws

    /// Makes a buffer's failed records durable, and with them the fate of all its records.
    func keep(
        _ records: SpooledObject,
        _ summary: FailureSummary,
        of sequence: UInt64
    ) async throws

    /// Opens what is kept of a buffer's failed records.
    ///
    /// - Throws: `KeptDamage` where it is not what it was.
    func kept(of sequence: UInt64) async throws -> KeptContent

    /// Forgets buffers that the checkpoint has passed.
    func forget(_ sequences: [UInt64]) async throws
}

/// What is kept of a buffer's failed records.
package enum KeptContent: Sendable {
    /// Which records failed, and why: their data is in the log.
    case records(FailedRecords)
    /// The objects themselves, as versions before kept them.
    case objects([Spooler.Part], setAside: Spooler.Part?)
}

/// What was kept of failed records is missing, or not what it was.
package struct KeptDamage: Error, CustomStringConvertible {
    /// What is wrong, and where.
    package var description: String
}
