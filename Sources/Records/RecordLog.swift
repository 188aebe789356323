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
///
/// `records` and `bytes` only count. Which record stands behind a mark its position says, and what
/// number that record has the log alone knows: see `RecordNumber`.
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

/// What the log answers when a batch is on disk: which numbers its records have.
package struct AppendReceipt: Sendable, Hashable {
    /// Records with consecutive numbers.
    package struct Run: Sendable, Hashable {
        /// The number of the first.
        package var first: RecordNumber
        /// How many there are.
        package var count: Int

        /// A run.
        package init(first: RecordNumber, count: Int) {
            self.first = first
            self.count = count
        }

        /// The number behind the last.
        package var end: RecordNumber { first + count }
    }

    /// The log's own number, random at creation: it tells a stream from a later one of its name.
    package var logIdentity: UInt64
    /// The batch's records in their order, which is that of their numbers: the first ones of the batch,
    /// where a limit kept the others out.
    package var runs: [Run]
    /// Whether they are encrypted where they lie.
    package var isEncrypted: Bool

    /// A receipt.
    package init(logIdentity: UInt64, runs: [Run], isEncrypted: Bool = false) {
        self.logIdentity = logIdentity
        self.runs = runs
        self.isEncrypted = isEncrypted
    }

    /// How many records it is for.
    package var recordCount: Int { runs.reduce(0) { $0 + $1.count } }

    /// The number of one of the records, which are counted from 0.
    package func number(ofRecord index: Int) -> RecordNumber {
        var index = index
        for run in runs {
            if index < run.count { return run.first + index }
            index -= run.count
        }
        preconditionFailure("the receipt is for fewer records")
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

    /// A number that no record at the end of what is durable or behind it falls short of, and every
    /// record before it does.
    var nextRecord: RecordNumber { get }

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
    /// Records of one batch.
    case records(LogRecords)
    /// A range that cannot be read back, with all that is left of it.
    case damaged(LogDamage)
}

/// Records of one batch with consecutive numbers; valid during the call that gives them alone.
package struct LogRecords {
    /// Their data, in the layout of `RecordBatch`.
    package var layout: UnsafeRawBufferPointer
    /// The number of the first.
    package var first: RecordNumber
    /// How many there are.
    package var count: Int
    /// When the batch arrived.
    package var arrival: Timestamp

    /// Records in `layout`.
    package init(
        _ layout: UnsafeRawBufferPointer,
        first: RecordNumber,
        count: Int,
        arrival: Timestamp
    ) {
        self.layout = layout
        self.first = first
        self.count = count
        self.arrival = arrival
    }

    /// Calls `body` with each record's bytes and number.
    package func forEachRecord<Failure: Error>(
        _ body: (UnsafeRawBufferPointer, RecordNumber) throws(Failure) -> Void
    ) throws(Failure) {
        var number = first
        try RecordLayout.forEachRecord(in: layout) { record throws(Failure) in
            try body(record, number)
            number = number + 1
        }
    }
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
