/// Bytes that can be read from any place on, by one reader at a time: a file, or what stands for one.
package protocol ByteSource: AnyObject, Sendable {
    /// Reads some bytes at `offset`, at least one where there is one.
    func read(
        into buffer: UnsafeMutableRawBufferPointer,
        at offset: UInt64
    ) throws(SystemError) -> Int
}

extension File: ByteSource {}
