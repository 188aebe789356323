/// What a producer is answered for a record: opaque to it, and never given twice.
package struct RecordID: Sendable, Hashable, CustomStringConvertible {
    /// The generation of the log in which the record was appended; see `RecordLog`.
    package var generation: UInt64
    /// The record's number in the log.
    package var number: RecordNumber

    /// An id.
    package init(generation: UInt64, number: RecordNumber) {
        self.generation = generation
        self.number = number
    }

    /// 32 hexadecimal digits.
    package var description: String { Self.digits(generation) + Self.digits(number.value) }

    private static func digits(_ number: UInt64) -> String {
        let text = String(number, radix: 16)
        return String(repeating: "0", count: 16 - text.utf8.count) + text
    }
}
