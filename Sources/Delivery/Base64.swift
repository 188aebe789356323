internal import CKernels

/// Data in base64 (RFC 4648), with vector instructions.
enum Base64 {
    /// Puts data behind `text`.
    static func append(_ data: UnsafeRawBufferPointer, to text: inout [UInt8]) {
        let start = text.count
        text.append(contentsOf: repeatElement(0, count: (data.count + 2) / 3 * 4))
        text.withUnsafeMutableBufferPointer { text in
            _ = hydrant_base64_encode(
                data.baseAddress?.assumingMemoryBound(to: UInt8.self),
                data.count,
                text.baseAddress?.advanced(by: start)
            )
        }
    }
}
