/// One stream's log: what a log in files and a distributed one can both do.
///
/// Append records and learn their numbers, read from a position, keep named checkpoints. The calls marked
/// "blocks" touch storage and belong on a thread of their own.
package protocol RecordLog: AnyObject, Sendable {
    /// The log's own number, random at its creation.
    var identity: UInt64 { get }

    /// In which generation of the log the records behind a mark were appended.
    ///
    /// A generation is a random number, another one whenever the log is opened, and stays with its
    /// records: with their numbers it names them. So a log that goes on from a copy, or from a state of
    /// before, gives no record a name that another has got since.
    func generation(at mark: LogMark) -> UInt64

    /// The same of the records before a mark.
    func generation(before mark: LogMark) -> UInt64

    /// The end of what is durable.
    var tail: LogMark { get }

    /// A number that no record at the end of what is durable or behind it falls short of, and every
    /// record before it does.
    var nextRecord: RecordNumber { get }

    // MARK: Append

    /// Appends a batch as a whole, or not at all, behind all that was appended before.
    ///
    /// Cheap, and never waits for storage. At a bound it answers AWS's ServiceUnavailable at once: on
    /// what waits to be written, or on `backlogBytes`.
    ///
    /// - Parameters:
    ///   - batch: The records.
    ///   - arrival: When the oldest of them arrived, now unless it is given. It is what the clock said:
    ///     order is the numbers' alone.
    ///   - completion: Called when it is decided; batches come to it in order.
    func append(_ batch: RecordBatch, arrival: Timestamp?, completion: @escaping AppendCompletion)

    /// Bytes in storage from the slowest reader's checkpoint to the end.
    var backlogBytes: UInt64 { get }

    /// Refuses new batches; returns when what was accepted is durable.
    func close() async

    // MARK: Encryption

    /// Whether copies of the log's records must be encrypted as well: some of them are, or will be.
    var isEncryptionInUse: Bool { get }

    /// Why encrypted records can neither be read nor appended; nil where nothing is in the way.
    var encryptionFailure: LogKeyFailure? { get }

    /// Encrypts what is appended from now on under a new data key, or keeps it as it is. Blocks.
    ///
    /// - Throws: InvalidKMSResource where there is no key to do it with.
    func setEncryption(_ isOn: Bool) throws(FirehoseError)

    // MARK: Readers

    /// Adds a reader that goes on at a mark, or moves one there that is left from before. Blocks.
    ///
    /// It begins later where every other reader has passed the mark; one that the log has stays where
    /// it is.
    func addReader(_ name: String, at mark: LogMark) throws

    /// Forgets a reader that nobody uses any more, and lets go of what it alone still held. Blocks.
    func removeReader(_ name: String)

    /// Where a reader goes on. Until it first moves its checkpoint that is the log's beginning.
    func checkpoint(of reader: String) -> LogMark

    /// Moves a reader's checkpoint, durably, and lets go of what every reader has passed. Blocks.
    func moveCheckpoint(of reader: String, to mark: LogMark) throws

    // MARK: Read

    /// Calls `action` once, as soon as the log holds `records` records or `bytes` bytes since its
    /// beginning; at once if it does already. A new call for the same reader replaces the one
    /// before.
    func wake(
        _ reader: String,
        atRecords records: UInt64,
        orBytes bytes: UInt64,
        _ action: @escaping @Sendable () -> Void
    )

    /// When the first record after a mark arrived, or nil where there is none. Blocks.
    func arrival(after mark: LogMark) throws -> Timestamp?

    /// Finds where a buffer that begins at `mark` ends: before the record that would take it over
    /// `maximumBytes` or `maximumRecords`, but after at least one, and at the latest at `limit`.
    /// Blocks.
    func cut(
        from mark: LogMark,
        maximumBytes: UInt64,
        maximumRecords: UInt64,
        limit: LogMark
    ) throws -> LogMark

    /// Gives what lies between two marks to `body`, in order. Blocks.
    func read(from mark: LogMark, to end: LogMark, _ body: (LogChunk) throws -> Void) throws
}

extension RecordLog {
    /// Appends a batch that arrives now.
    package func append(_ batch: RecordBatch, completion: @escaping AppendCompletion) {
        append(batch, arrival: nil, completion: completion)
    }
}
