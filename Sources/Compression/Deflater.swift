internal import CZlib

/// zlib's deflate as a stream.
final class Deflater {
    enum Format: Int32 {
        /// RFC 1952.
        case gzip = 31
        /// RFC 1951, without a wrapper.
        case raw = -15
    }

    private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    private let output = UnsafeMutableRawBufferPointer.allocate(
        byteCount: 128 * 1024,
        alignment: 16
    )

    init(level: Int, format: Format) {
        stream.initialize(to: z_stream())
        let code = hydrant_deflate_init(stream, Int32(level), format.rawValue)
        precondition(
            code == Z_OK,
            "deflateInit2 failed with \(code): out of memory, or a bad level"
        )
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
        output.deallocate()
    }

    func write(
        _ bytes: UnsafeRawBufferPointer,
        to sink: (UnsafeRawBufferPointer) throws -> Void
    )
        throws
    {
        // zlib counts in 32 bits.
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = rest.prefix(1 << 30)
            try run(UnsafeRawBufferPointer(rebasing: part), Z_NO_FLUSH, to: sink)
            rest = rest.dropFirst(part.count)
        }
    }

    func finish(to sink: (UnsafeRawBufferPointer) throws -> Void) throws {
        try run(UnsafeRawBufferPointer(start: nil, count: 0), Z_FINISH, to: sink)
    }

    private func run(
        _ input: UnsafeRawBufferPointer,
        _ flush: Int32,
        to sink: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        stream.pointee.next_in = UnsafeMutablePointer(
            mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self)
        )
        stream.pointee.avail_in = UInt32(input.count)
        repeat {
            stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
            stream.pointee.avail_out = UInt32(output.count)
            let code = deflate(stream, flush)
            precondition(code != Z_STREAM_ERROR, "deflate was called out of order")
            let count = output.count - Int(stream.pointee.avail_out)
            if count > 0 { try sink(UnsafeRawBufferPointer(rebasing: output[..<count])) }
        } while stream.pointee.avail_out == 0
    }
}
