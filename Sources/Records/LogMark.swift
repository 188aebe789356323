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
