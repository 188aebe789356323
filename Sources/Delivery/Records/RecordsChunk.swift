internal import Destinations
internal import JSON
internal import Platform
internal import Records

/// A part of a buffer that goes to a destination in one request: read from the log each time it is
/// sent, so that it takes no memory while it waits.
struct RecordsChunk: Sendable {
    let records: DeliveryRecords
    /// Lines of records that failed before they were delivered, by where they go.
    let failures: [(type: ErrorOutputType, range: Range<Int>)]
    let damaged: [LogDamage]
    let extent: Extent

    /// How much a part is, and where the next begins.
    struct Extent: Sendable {
        var records: Int
        var bytes: Int
        var end: LogMark
    }

    /// Reads the next part that the limits allow.
    ///
    /// Blocks. `isOutcome` says that records have a byte in front that tells what they are; a delimiter
    /// is put behind each record's data.
    init(
        _ log: any RecordLog,
        from start: LogMark,
        limit: LogMark,
        _ limits: RequestLimits,
        isOutcome: Bool,
        delimiter: String?
    ) throws {
        let end = try log.cut(
            from: start,
            maximumBytes: limits.dataBytes,
            maximumRecords: limits.records,
            limit: limit
        )
        let delimiter = Array((delimiter ?? "").utf8)
        let count = Int(end.records - start.records)
        // Counters jump over damage, so this may be too much, and is never too little.
        var block = Block.Builder(
            capacity: Int(end.bytes - start.bytes) + count * delimiter.count
        )
        var items: [DeliveryRecords.Item] = []
        var failures: [(type: ErrorOutputType, range: Range<Int>)] = []
        var damaged: [LogDamage] = []
        items.reserveCapacity(count)
        var number = start.records
        try log.read(from: start, to: end) { chunk in
            switch chunk {
            case .damaged(let damage): damaged.append(damage)
            case .records(let layout, _, let arrival):
                try RecordLayout.forEachRecord(in: layout) { record in
                    defer { number += 1 }
                    let first = block.count
                    guard isOutcome else {
                        block.append(record)
                        delimiter.withUnsafeBytes { block.append($0) }
                        items.append(
                            .init(range: first..<block.count, arrival: arrival, number: number)
                        )
                        return
                    }
                    guard let kind = record.first.flatMap(OutcomeRecord.init(rawValue:)) else {
                        throw Spooler.UnknownOutcome()
                    }
                    block.append(UnsafeRawBufferPointer(rebasing: record.dropFirst()))
                    switch kind {
                    case .progress: block.truncate(to: first)
                    case .delivered:
                        delimiter.withUnsafeBytes { block.append($0) }
                        items.append(
                            .init(range: first..<block.count, arrival: arrival, number: number)
                        )
                    case .processingFailed:
                        failures.append((.processingFailed, first..<block.count))
                    case .decompressionFailed:
                        failures.append((.decompressionFailed, first..<block.count))
                    }
                }
            }
        }
        extent = Extent(records: items.count, bytes: block.count, end: end)
        records = DeliveryRecords(block: block.build(), items: items, logIdentity: log.identity)
        self.failures = failures
        self.damaged = damaged
    }

    /// The line that tells of a failed record: those of all destinations begin alike.
    func failureLine(
        _ item: DeliveryRecords.Item,
        _ failed: FailedRecord,
        _ destination: any RecordDestination
    ) -> [UInt8] {
        let own = destination.failureMembers(of: item, in: records)
        func text(_ members: [(name: String, value: JSONValue)]) -> String {
            members.map { name, value in
                let text =
                    switch value {
                    case .integer(let number): String(number)
                    case let other: JSONText.quoted(other.string ?? "")
                    }
                return "\"\(name)\":\(text)"
            }.joined(separator: ",")
        }
        var before: [(name: String, value: JSONValue)] = [
            ("attemptsMade", .integer(failed.attempts)),
            ("arrivalTimestamp", .integer(Int(item.arrival.milliseconds))),
            ("errorCode", .string(failed.failure.code)),
            ("errorMessage", .string(failed.failure.message)),
            ("attemptEndingTimestamp", .integer(Int(failed.endedAt.milliseconds))),
        ]
        before += own.before
        var line = Array("{\(text(before)),\"rawData\":\"".utf8)
        Base64.append(records.data(of: item), to: &line)
        line += (own.after.isEmpty ? "\"}" : "\",\(text(own.after))}").utf8
        return line
    }
}
