internal import Destinations
internal import Platform
internal import Records

/// Failed records as `FailureSpool` wrote them: part by part, and in a part in any order.
package struct FailedRecords: Sendable {
    private let content: any ByteSource
    private let byteCount: UInt64
    private var place: UInt64 = 0
    private var buffer: [UInt8] = []
    private var start = 0

    /// What a spool held.
    init(_ content: any ByteSource, byteCount: UInt64) {
        self.content = content
        self.byteCount = byteCount
    }

    /// The next one; nil behind the last.
    ///
    /// Blocks.
    ///
    /// - Throws: `KeptDamage` where it ends in the middle of a record.
    mutating func next() throws -> FailedRecord? {
        guard try fill(FailedRecord.headBytes) else {
            guard start == buffer.count else { throw Self.cut }
            return nil
        }
        let head = buffer[start..<start + FailedRecord.headBytes]
        let (code, message) = FailedRecord.textBytes(head)
        let all = FailedRecord.headBytes + code + message
        guard try fill(all) else { throw Self.cut }
        defer { start += all }
        return FailedRecord(buffer[start..<start + all])
    }

    private static var cut: KeptDamage {
        KeptDamage(description: "a list of failed records ends in the middle of one")
    }

    /// Reads until so many bytes are there; false where there are not so many.
    private mutating func fill(_ count: Int) throws -> Bool {
        while buffer.count - start < count, place < byteCount {
            buffer.removeFirst(start)
            start = 0
            let most = Int(min(64 * 1024, byteCount - place))
            let old = buffer.count
            buffer.append(contentsOf: repeatElement(0, count: most))
            let read = try buffer.withUnsafeMutableBytes { space in
                try content.read(
                    into: UnsafeMutableRawBufferPointer(rebasing: space[old...]),
                    at: place
                )
            }
            guard read > 0 else { throw Self.cut }
            buffer.removeLast(most - read)
            place += UInt64(read)
        }
        return buffer.count - start >= count
    }
}
