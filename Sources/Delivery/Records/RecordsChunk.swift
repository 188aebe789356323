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
        var sorted = Sorted()
        sorted.items.reserveCapacity(count)
        try log.read(from: start, to: end) { chunk in
            switch chunk {
            case .damaged(let damage): sorted.damaged.append(damage)
            case .records(let records):
                try records.forEachRecord { record, number in
                    let kind = isOutcome ? try Self.kind(of: record) : .delivered
                    guard kind != .progress else { return }
                    let first = block.count
                    block.append(
                        isOutcome ? UnsafeRawBufferPointer(rebasing: record.dropFirst()) : record
                    )
                    if kind == .delivered { delimiter.withUnsafeBytes { block.append($0) } }
                    sorted.add(kind, first..<block.count, number, records)
                }
            }
        }
        extent = Extent(records: sorted.items.count, bytes: block.count, end: end)
        records = DeliveryRecords(
            block: block.build(),
            items: sorted.items
        )
        failures = sorted.failures
        damaged = sorted.damaged
    }

    /// What records are, by where they go.
    private struct Sorted {
        var items: [DeliveryRecords.Item] = []
        var failures: [(type: ErrorOutputType, range: Range<Int>)] = []
        var damaged: [LogDamage] = []

        mutating func add(
            _ kind: OutcomeRecord,
            _ range: Range<Int>,
            _ number: RecordNumber,
            _ records: LogRecords
        ) {
            if let type = kind.errorOutputType {
                failures.append((type, range))
            } else {
                items.append(
                    .init(
                        range: range,
                        arrival: records.arrival,
                        number: number,
                        generation: records.generation
                    )
                )
            }
        }
    }

    /// Where records of some numbers are, rising; nil for those that cannot be read any more.
    ///
    /// A part is read anew for each request, and may be damaged then, or be whole again.
    func indices(of numbers: [RecordNumber]) -> [Int?] {
        var index = 0
        return numbers.map { number in
            while index < records.items.count, records.items[index].number < number { index += 1 }
            return index < records.items.count && records.items[index].number == number
                ? index : nil
        }
    }

    private static func kind(
        of record: UnsafeRawBufferPointer
    ) throws(Spooler.UnknownOutcome) -> OutcomeRecord {
        guard let kind = record.first.flatMap(OutcomeRecord.init(rawValue:)) else {
            throw Spooler.UnknownOutcome()
        }
        return kind
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
