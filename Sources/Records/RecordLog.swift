/// A place in a stream's log: between two records.
package struct LogPosition: Sendable, Hashable, Comparable, Codable {
    /// Which batch: a number that rises from batch to batch (in the file log, the byte offset of
    /// its frame).
    package var offset: UInt64
    /// How many of that batch's records lie before the place.
    package var record: UInt32

    /// The place before record number `record` of the batch at `offset`.
    package init(offset: UInt64, record: UInt32 = 0) {
        self.offset = offset
        self.record = record
    }

    package static func < (left: LogPosition, right: LogPosition) -> Bool {
        (left.offset, left.record) < (right.offset, right.record)
    }
}

/// A place in a stream's log, and how much has gone by before it since the log began.
package struct LogMark: Sendable, Hashable, Codable {
    /// The place.
    package var position: LogPosition
    /// Records before it.
    package var records: UInt64
    /// Bytes of those records' data.
    package var bytes: UInt64

    /// A mark.
    package init(position: LogPosition, records: UInt64, bytes: UInt64) {
        self.position = position
        self.records = records
        self.bytes = bytes
    }

    /// The beginning of a new log.
    package static let start = LogMark(position: LogPosition(offset: 0), records: 0, bytes: 0)
}

/// What the log answers when a batch is on disk.
package struct AppendReceipt: Sendable, Hashable {
    /// The log's own number, random at creation: it tells a stream from a later one of its name.
    package var logIdentity: UInt64
    /// The number of the batch's first record; the others follow.
    package var firstRecord: UInt64
    /// How many records it is for: the first ones of the batch, where a limit kept the others out.
    package var recordCount: Int
    /// Whether they are encrypted where they lie.
    package var isEncrypted: Bool

    /// A receipt.
    package init(
        logIdentity: UInt64,
        firstRecord: UInt64,
        recordCount: Int,
        isEncrypted: Bool = false
    ) {
        self.logIdentity = logIdentity
        self.firstRecord = firstRecord
        self.recordCount = recordCount
        self.isEncrypted = isEncrypted
    }
}

/// The operations that put records.
package enum PutOperation: Sendable {
    /// One record.
    case putRecord
    /// Up to 500.
    case putRecordBatch
}

/// Takes records in, and says when they are durable.
package protocol RecordAppender: Sendable {
    /// Appends a batch to a stream, and calls `completion` once, on any thread: with a receipt when
    /// the records are durable, with an AWS error when they are not. A throughput limit may keep
    /// the last records of a batch out, which the receipt's count tells; otherwise a batch is taken
    /// as a whole or not at all.
    ///
    /// - Parameters:
    ///   - batch: The records.
    ///   - name: The stream's name.
    ///   - operation: How they were put, for the metrics.
    ///   - completion: See above.
    func append(
        _ batch: RecordBatch,
        toStream name: String,
        by operation: PutOperation,
        completion: @escaping @Sendable (Result<AppendReceipt, FirehoseError>) -> Void
    )
}

/// One stream's log, as its readers see it.
///
/// What a file log and a distributed one can both do: append and learn the position, read from a
/// position, keep named checkpoints. The calls marked "blocks" touch storage and belong on a thread
/// of their own.
package protocol RecordLog: AnyObject, Sendable {
    /// The log's own number, random at its creation.
    var identity: UInt64 { get }

    /// The end of what is durable.
    var tail: LogMark { get }

    /// Whether copies of the log's records must be encrypted as well: some of them are, or will be.
    var isEncryptionInUse: Bool { get }

    /// Where a reader goes on. Until it first moves its checkpoint that is the log's beginning.
    func checkpoint(of reader: String) -> LogMark

    /// Moves a reader's checkpoint, durably, and lets go of what every reader has passed. Blocks.
    func moveCheckpoint(of reader: String, to mark: LogMark) throws

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

/// A piece of what a reader gets.
package enum LogChunk {
    /// Records of one batch, in the layout of `RecordBatch`; valid during the call alone.
    case records(UnsafeRawBufferPointer, count: Int, arrival: Timestamp)
    /// A range that cannot be read back, with all that is left of it.
    case damaged(LogDamage)
}

/// A part of the log that fails its checksum.
package struct LogDamage: Sendable, Hashable {
    /// First byte, as a position's offset.
    package var start: UInt64
    /// The byte behind the last.
    package var end: UInt64
    /// What was found.
    package var reason: String
    /// The file, and where in it the range begins.
    package var location: String
    /// What the disk gave back, for whoever wants to rescue something.
    package var bytes: [UInt8]

    /// A damaged range.
    package init(start: UInt64, end: UInt64, reason: String, location: String, bytes: [UInt8]) {
        self.start = start
        self.end = end
        self.reason = reason
        self.location = location
        self.bytes = bytes
    }
}
