internal import NIOCore

/// Ids for requests: random for each connection, then counted.
struct RequestIDs {
    private let connection = UInt64.random(in: .min ... .max)
    private var count = UInt64(UInt16.random(in: .min ... .max)) << 32

    mutating func next() -> String {
        count += 1
        var digits = ByteBuffer()
        digits.writeHexadecimal(connection)
        digits.writeHexadecimal(count)
        var text = ByteBufferAllocator().buffer(capacity: 36)
        for (index, length) in [8, 4, 4, 4, 12].enumerated() {
            if index > 0 { text.writeString("-") }
            if let part = digits.readSlice(length: length) { text.writeImmutableBuffer(part) }
        }
        return text.readString(length: text.readableBytes) ?? ""
    }
}
