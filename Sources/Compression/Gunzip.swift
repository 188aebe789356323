internal import CZlib

/// Unpacks whole gzip bodies.
package enum Gunzip {
    /// Why a body cannot be unpacked.
    package enum Failure: Error {
        /// It is not gzip, or it is cut short.
        case malformed
        /// It would be larger than allowed.
        case tooLarge
    }

    /// Unpacks gzip data of one or more members (RFC 1952, section 2.2).
    ///
    /// - Parameters:
    ///   - bytes: The packed body.
    ///   - maximumBytes: What the result may have; a body that would give more is refused before it
    ///     takes more memory than that.
    /// - Returns: The body.
    /// - Throws: `Failure`.
    package static func unpack(
        _ bytes: UnsafeRawBufferPointer,
        maximumBytes: Int
    ) throws(Failure)
        -> [UInt8]
    {
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        defer { stream.deallocate() }
        guard hydrant_inflate_init(stream, 31) == Z_OK else { throw .malformed }
        defer { inflateEnd(stream) }
        var output: [UInt8] = []
        stream.pointee.next_in = UnsafeMutablePointer(
            mutating: bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        )
        stream.pointee.avail_in = UInt32(bytes.count)
        var space = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let (code, count) = space.withUnsafeMutableBufferPointer { buffer in
                stream.pointee.next_out = buffer.baseAddress
                stream.pointee.avail_out = UInt32(buffer.count)
                let code = inflate(stream, Z_NO_FLUSH)
                return (code, buffer.count - Int(stream.pointee.avail_out))
            }
            guard output.count + count <= maximumBytes else { throw .tooLarge }
            output.append(contentsOf: space[..<count])
            switch code {
            case Z_OK: continue
            case Z_STREAM_END:
                if stream.pointee.avail_in == 0 { return output }
                guard inflateReset(stream) == Z_OK else { throw .malformed }
            default: throw .malformed
            }
        }
    }
}
