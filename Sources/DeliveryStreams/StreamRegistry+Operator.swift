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
        // One of a stream of the same name that is gone is no place in this one.
        let start = try place.flatMap { place throws(FirehoseError) in
            try Self.number(in: place, of: identity, "NextToken")
        }
        let (records, skipped, next) = active.tap.records(
            from: start.map { RecordNumber($0) }
        ) { active.log.nextRecord }
        return TailedRecords(
            records: records,
            skipped: skipped,
            place: String(identity, radix: 16) + "." + String(next.value, radix: 16)
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
            // One of a stream of the same name that is gone begins anew.
            number = try Self.number(in: token, of: identity, "token")
        }
        guard let flush = try active.delivery.flush(number) else {
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

    /// The number in `LOG.NUMBER`, hexadecimal; nil where that is of another log.
    private static func number(
        in text: String,
        of identity: UInt64,
        _ name: String
    ) throws(FirehoseError) -> UInt64? {
        let numbers = text.split(separator: ".").compactMap { UInt64($0, radix: 16) }
        guard numbers.count == 2 else {
            throw FirehoseError(.invalidArgument, "The \(name) \(text.prefix(64)) is none.")
        }
        return numbers[0] == identity ? numbers[1] : nil
    }
}
