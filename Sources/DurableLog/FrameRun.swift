internal import Glibc
internal import Records

/// Frames that are written at once: their headers, and where their payloads are.
struct FrameRun: ~Copyable {
    private let headers: UnsafeMutableRawBufferPointer
    /// A header and a payload for each frame.
    var parts: [iovec] = []
    private(set) var receipts: [AppendReceipt] = []
    /// Behind the last frame.
    private(set) var end: LogMark
    /// Bytes of all frames.
    var bytes: UInt64 = 0

    /// A run of at most `capacity` frames that begins at a mark.
    init(capacity: Int, from start: LogMark) {
        headers = .allocate(byteCount: capacity * FrameHeader.byteCount, alignment: 16)
        end = start
        parts.reserveCapacity(capacity * 2)
        receipts.reserveCapacity(capacity)
    }

    deinit { headers.deallocate() }

    /// Adds a frame; the payload must stay until the run is written.
    mutating func append(
        _ header: FrameHeader,
        _ payload: UnsafeRawBufferPointer,
        _ receipt: AppendReceipt
    ) {
        let place = receipts.count * FrameHeader.byteCount
        let space = UnsafeMutableRawBufferPointer(
            rebasing: headers[place..<place + FrameHeader.byteCount]
        )
        header.encode(into: space)
        parts.append(iovec(iov_base: space.baseAddress, iov_len: space.count))
        parts.append(
            iovec(
                iov_base: UnsafeMutableRawPointer(mutating: payload.baseAddress),
                iov_len: payload.count
            )
        )
        receipts.append(receipt)
        end = header.end
    }
}
