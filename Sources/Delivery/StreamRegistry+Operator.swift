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
        let identity = active.log.identity
        var number: UInt64?
        if let token {
            let numbers = token.split(separator: ".").compactMap { UInt64($0, radix: 16) }
            guard numbers.count == 2 else {
                throw FirehoseError(.invalidArgument, "The token \(token.prefix(64)) is none.")
            }
            // That of a stream of the same name that is gone asks for nothing of this one.
            if numbers[0] == identity { number = numbers[1] }
        }
        guard let flush = active.delivery.flush(number) else {
            throw FirehoseError(
                .invalidArgument,
                "The records of Firehose \(stream) are kept, and not delivered: the server's log "
                    + "says why."
            )
        }
        return FlushProgress(
            pendingRecords: flush.pending,
            token: String(identity, radix: 16) + "." + String(flush.number, radix: 16)
        )
    }
}
