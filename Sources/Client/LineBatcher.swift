internal import Records

/// Cuts text into lines, and lines into batches that one PutRecordBatch takes.
///
/// Pure: it is given bytes, and gives batches.
package struct LineBatcher {
    private let stripsNewlines: Bool
    private var line: [UInt8] = []
    /// Bytes of the line so far; more than are kept of one that is too long.
    private var lineBytes = 0
    private var lineNumber = 1
    private var records: [[UInt8]] = []
    private var bytes = 0

    /// Lines that are too long, by number and bytes; whoever looks takes them out.
    package var oversized: [(line: Int, bytes: Int)] = []

    /// A batcher that keeps each line's newline as the last byte of its record, or does not.
    package init(stripsNewlines: Bool) { self.stripsNewlines = stripsNewlines }

    /// Whether a record waits for its batch.
    package var isEmpty: Bool { records.isEmpty }

    /// Takes input.
    ///
    /// - Returns: The batches that are full.
    package mutating func add(_ input: [UInt8]) -> [[[UInt8]]] {
        var full: [[[UInt8]]] = []
        var rest = input[...]
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            append(rest[..<(stripsNewlines ? end : end + 1)])
            endLine(&full)
            rest = rest[(end + 1)...]
        }
        append(rest)
        return full
    }

    /// Takes the records that wait; the line that is not at its end goes on waiting.
    package mutating func takeRest() -> [[UInt8]] {
        defer {
            records = []
            bytes = 0
        }
        return records
    }

    /// Ends the input: a last line without a newline is a record as well.
    ///
    /// - Returns: The batches that are left.
    package mutating func finish() -> [[[UInt8]]] {
        var batches: [[[UInt8]]] = []
        if lineBytes > 0 { endLine(&batches) }
        let rest = takeRest()
        return rest.isEmpty ? batches : batches + [rest]
    }

    private mutating func append(_ part: ArraySlice<UInt8>) {
        lineBytes += part.count
        // Of a line that is too long, only the length is wanted.
        if lineBytes <= Limits.maximumRecordBytes { line += part }
    }

    private mutating func endLine(_ full: inout [[[UInt8]]]) {
        defer {
            line = []
            lineBytes = 0
            lineNumber += 1
        }
        guard lineBytes <= Limits.maximumRecordBytes else {
            oversized.append((lineNumber, lineBytes))
            return
        }
        if bytes + line.count > Limits.maximumBatchBytes { full.append(takeRest()) }
        records.append(line)
        bytes += line.count
        if records.count == Limits.maximumBatchRecords { full.append(takeRest()) }
    }
}
