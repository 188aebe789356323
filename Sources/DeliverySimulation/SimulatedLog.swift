internal import Delivery
internal import Records

/// A log in a simulated world: its records have rising numbers with gaps, and a byte each.
struct SimulatedLog {
    /// What a record is.
    enum Content: Equatable {
        /// As it was put, or as a transform gave it: the number of the record that it came from.
        case record(UInt64)
        /// What failed in a transform.
        case processingFailed(UInt64)
        /// The outcome log's own.
        case progress(OutcomeRecord.Progress)
    }

    struct Record {
        var number: RecordNumber
        var content: Content
        var arrival: Timestamp
    }

    private(set) var records: [Record] = []

    mutating func append(_ content: Content, _ now: Timestamp, gap: UInt64) {
        records.append(
            Record(
                number: RecordNumber((records.last?.number.value ?? 0) + 1 + gap),
                content: content,
                arrival: now
            )
        )
    }

    var tail: LogMark { mark(records.count) }

    func mark(_ index: Int) -> LogMark {
        LogMark(
            position: LogPosition(offset: UInt64(index)),
            records: UInt64(index),
            bytes: UInt64(index)
        )
    }

    /// Where a buffer ends that begins at a mark.
    func cut(from mark: LogMark, bytes: UInt64, limit: LogMark) -> LogMark {
        self.mark(Int(min(mark.records + bytes, limit.records)))
    }

    /// What lies between two marks.
    func slice(_ start: LogMark, _ end: LogMark) -> ArraySlice<Record> {
        records[Int(start.records)..<Int(end.records)]
    }
}
