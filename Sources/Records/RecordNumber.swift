/// A record's number in its log: with the log's generation, what tells it from every other record.
///
/// Numbers rise from record to record and are never given twice, but they may have gaps: how many
/// records lie between two is what marks count (`LogMark`), and no difference of numbers.
package struct RecordNumber: Sendable, Hashable {
    /// As it is stored, and shown to clients.
    package var value: UInt64

    /// A number.
    package init(_ value: UInt64) { self.value = value }

    /// The number of the record that is so many behind, within a run of consecutive numbers.
    package static func + (number: RecordNumber, steps: Int) -> RecordNumber {
        RecordNumber(number.value + UInt64(steps))
    }
}

extension RecordNumber: Comparable {
    package static func < (left: RecordNumber, right: RecordNumber) -> Bool {
        left.value < right.value
    }
}

extension RecordNumber: ExpressibleByIntegerLiteral {
    /// A number that is known beforehand, as in a test.
    package init(integerLiteral value: UInt64) { self.init(value) }
}

extension RecordNumber: Codable {
    /// Reads a bare number.
    package init(from decoder: any Decoder) throws {
        value = try decoder.singleValueContainer().decode(UInt64.self)
    }

    /// Writes a bare number.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value)
    }
}

extension RecordNumber: CustomStringConvertible {
    /// Decimal digits.
    package var description: String { String(value) }
}
