/// Compresses a stream of bytes.
///
/// One use: writes, then one `finish`.
package protocol Compressor: AnyObject {
    /// Takes bytes in, and hands on what comes out of them.
    func write(
        _ bytes: UnsafeRawBufferPointer,
        to sink: (UnsafeRawBufferPointer) throws -> Void
    )
        throws
    /// Hands on the rest.
    func finish(to sink: (UnsafeRawBufferPointer) throws -> Void) throws
}

/// No compression: bytes go on as they come.
package final class IdentityCompressor: Compressor {
    /// Passes bytes on.
    package init() {}

    package func write(
        _ bytes: UnsafeRawBufferPointer,
        to sink: (UnsafeRawBufferPointer) throws -> Void
    ) throws { try sink(bytes) }

    package func finish(to sink: (UnsafeRawBufferPointer) throws -> Void) throws {}
}

/// gzip (RFC 1952): one member, no name, no time, so that equal input gives equal output.
package final class GzipCompressor: Compressor {
    private let deflater: Deflater

    /// - Parameter level: 1 (fast) to 9 (small).
    package init(level: Int) { deflater = Deflater(level: level, format: .gzip) }

    package func write(
        _ bytes: UnsafeRawBufferPointer,
        to sink: (UnsafeRawBufferPointer) throws -> Void
    ) throws { try deflater.write(bytes, to: sink) }

    package func finish(to sink: (UnsafeRawBufferPointer) throws -> Void) throws {
        try deflater.finish(to: sink)
    }
}

extension GzipCompressor {
    /// All of some bytes, packed fast.
    package static func packed(_ bytes: [UInt8]) throws -> [UInt8] {
        var packed: [UInt8] = []
        let compressor = GzipCompressor(level: 1)
        try bytes.withUnsafeBytes { try compressor.write($0) { packed += $0 } }
        try compressor.finish { packed += $0 }
        return packed
    }
}
