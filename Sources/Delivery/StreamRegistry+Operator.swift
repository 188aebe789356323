internal import DurableLog
package import Records

/// What an operator asks of streams beside AWS's API.
extension StreamRegistry: StreamOperator {
    /// See `StreamOperator`.
    package func tail(
        _ stream: String,
        after place: String?
    ) throws(FirehoseError) -> TailedRecords {
        let active = try found(stream).get()
        let identity = active.log.identity
        let end = active.log.tail.records
        var start = end
        if let place {
            let numbers = place.split(separator: ".").compactMap { UInt64($0, radix: 16) }
            guard numbers.count == 2 else {
                throw FirehoseError(.invalidArgument, "The place \(place.prefix(64)) is none.")
            }
            // That of a stream of the same name that is gone is no place in this one.
            if numbers[0] == identity { start = min(numbers[1], end) }
        }
        let (records, skipped, next) = active.tap.records(
            from: start,
            tail: end,
            logIdentity: identity
        )
        return TailedRecords(
            records: records,
            skipped: skipped,
            place: String(identity, radix: 16) + "." + String(next, radix: 16)
        )
    }

    /// See `StreamOperator`.
    package func flush(
        _ stream: String,
        token: String?
    ) throws(FirehoseError) -> FlushProgress {
        let active = try found(stream).get()
        var target = FlushTarget(source: active.log.tail)
        if let token {
            guard let given = FlushTarget(token: token) else {
                throw FirehoseError(.invalidArgument, "The token \(token.prefix(64)) is none.")
            }
            target = given
        }
        guard let pending = active.delivery.flush(&target) else {
            throw FirehoseError(
                .invalidArgument,
                "The records of Firehose \(stream) are kept, and not delivered: the server's log "
                    + "says why."
            )
        }
        return FlushProgress(pendingRecords: pending, token: target.token)
    }
}

/// Up to where a flush goes, in the stream's own log and in that of what was transformed.
struct FlushTarget {
    var source: LogMark
    /// Known once all of the source's is transformed.
    var outcome: LogMark?

    init(source: LogMark) { self.source = source }

    init?(token: String) {
        let marks = token.split(separator: "-", omittingEmptySubsequences: false)
        guard (1...2).contains(marks.count), let source = Self.mark(marks[0]) else { return nil }
        self.source = source
        if marks.count == 2 {
            guard let mark = Self.mark(marks[1]) else { return nil }
            outcome = mark
        }
    }

    var token: String {
        ([source] + [outcome].compactMap(\.self)).map { mark in
            [mark.position.offset, UInt64(mark.position.record), mark.records, mark.bytes]
                .map { String($0, radix: 16) }.joined(separator: ".")
        }.joined(separator: "-")
    }

    private static func mark(_ text: Substring) -> LogMark? {
        let numbers = text.split(separator: ".").compactMap { UInt64($0, radix: 16) }
        guard numbers.count == 4, let record = UInt32(exactly: numbers[1]) else { return nil }
        return LogMark(
            position: LogPosition(offset: numbers[0], record: record),
            records: numbers[2],
            bytes: numbers[3]
        )
    }
}
