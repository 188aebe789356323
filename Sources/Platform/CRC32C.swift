internal import CKernels

/// The checksum of log frames, segments and checkpoints: CRC-32C (RFC 3720, section 12.1).
package enum CRC32C {
    /// The checksum of `bytes`, continuing from `start`.
    package static func checksum(_ bytes: UnsafeRawBufferPointer, from start: UInt32 = 0) -> UInt32
    {
        guard let base = bytes.baseAddress else { return start }
        return hydrant_crc32c(start, base, bytes.count)
    }

    /// The checksum of `bytes`.
    package static func checksum(_ bytes: [UInt8]) -> UInt32 {
        bytes.withUnsafeBytes { checksum($0) }
    }
}
