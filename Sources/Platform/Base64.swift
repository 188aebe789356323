internal import CKernels

/// Data in base64 (RFC 4648, section 4), with vector instructions.
package enum Base64 {
    /// Characters that so many bytes become.
    package static func count(ofBytes count: Int) -> Int { (count + 2) / 3 * 4 }

    /// Writes data to the beginning of `space`.
    ///
    /// - Returns: The number of characters.
    @discardableResult
    package static func write(
        _ data: UnsafeRawBufferPointer,
        to space: UnsafeMutableRawBufferPointer
    ) -> Int {
        precondition(count(ofBytes: data.count) <= space.count, "there is room for the data")
        return hydrant_base64_encode(
            data.baseAddress?.assumingMemoryBound(to: UInt8.self),
            data.count,
            space.baseAddress?.assumingMemoryBound(to: UInt8.self)
        )
    }

    /// Puts data behind `text`.
    package static func append(_ data: UnsafeRawBufferPointer, to text: inout [UInt8]) {
        let count = count(ofBytes: data.count)
        withUnsafeTemporaryAllocation(byteCount: count, alignment: 1) { space in
            write(data, to: space)
            text.append(contentsOf: UnsafeRawBufferPointer(space))
        }
    }

    /// Data as a text.
    package static func text(_ data: [UInt8]) -> String {
        String(unsafeUninitializedCapacity: count(ofBytes: data.count)) { space in
            data.withUnsafeBytes { write($0, to: UnsafeMutableRawBufferPointer(space)) }
        }
    }
}
