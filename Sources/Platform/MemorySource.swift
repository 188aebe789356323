/// Bytes in memory that are read as a file is.
package final class MemorySource: ByteSource {
    private let bytes: [UInt8]

    /// Some bytes.
    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Reads from `offset` on; nothing behind the end.
    package func read(
        into space: UnsafeMutableRawBufferPointer,
        at offset: UInt64
    ) throws(SystemError) -> Int {
        guard offset < UInt64(bytes.count) else { return 0 }
        let count = min(space.count, bytes.count - Int(offset))
        space.copyBytes(from: bytes[Int(offset)..<Int(offset) + count])
        return count
    }
}
