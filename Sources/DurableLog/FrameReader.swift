internal import Platform
internal import Records

/// Reads frames out of segment files through one window of memory.
struct FrameReader: ~Copyable {
    private let segments: [Segment]
    private let logTag: UInt32
    /// The offset behind the last byte that may be read.
    private let limit: UInt64
    private let windowBytes: Int
    private var buffer: UnsafeMutableRawBufferPointer
    private var windowBase: UInt64 = 0
    private var windowCount = 0
    private var windowSegment: UInt64?
    /// The generation of the log in which what was read last was appended.
    private(set) var generation: UInt64 = 0
    /// Why some of the window is zeros; nil where all of it was read.
    private var windowFailure: SystemError?
    private let keys: EncryptionKeys?
    /// Where encrypted payloads are opened.
    private var plain: UnsafeMutableRawBufferPointer?

    /// What stands at an offset.
    enum Finding {
        case frame(FrameHeader)
        /// No frame: the next one, or the end of what may be read, is at `next`.
        case damaged(next: UInt64, reason: String)
    }

    /// Reads a log's `segments`, in order of their bases, up to `limit`.
    ///
    /// Encrypted payloads are opened with `keys`; without, their records cannot be had.
    init(
        _ segments: [Segment],
        of logTag: UInt32,
        keys: EncryptionKeys? = nil,
        limit: UInt64,
        windowBytes: Int
    ) {
        self.keys = keys
        self.segments = segments
        self.logTag = logTag
        self.limit = limit
        self.windowBytes = windowBytes
        buffer = .allocate(byteCount: windowBytes, alignment: 16)
    }

    deinit {
        buffer.deallocate()
        plain?.deallocate()
    }

    /// What stands at `offset`, which is below the limit.
    mutating func frame(at offset: UInt64) throws(SystemError) -> Finding {
        guard let segment = segment(holding: offset) else {
            let next = segments.first { $0.base > offset }?.base ?? limit
            return .damaged(next: next, reason: "no segment holds it")
        }
        if let header = try header(at: offset, in: segment) { return .frame(header) }
        let failure = try failure(of: FrameHeader.byteCount, at: offset, in: segment)
        let next = try nextFrame(after: offset, in: segment)?.offset ?? end(of: segment)
        return .damaged(next: next, reason: failure.map { "\($0)" } ?? "no valid frame header")
    }

    /// The frame that begins at `offset`, if a valid one does.
    mutating func header(
        at offset: UInt64,
        in segment: Segment
    ) throws(SystemError)
        -> FrameHeader?
    {
        let bytes = try bytes(in: segment, at: offset, count: FrameHeader.byteCount)
        guard let header = FrameHeader(bytes, expectedOffset: offset, logTag: logTag),
            header.end.position.offset <= end(of: segment)
        else { return nil }
        return header
    }

    /// The payload of a frame, or nil where its checksum or its lengths are wrong.
    ///
    /// Valid until the next call.
    mutating func payload(of frame: FrameHeader) throws(SystemError) -> UnsafeRawBufferPointer? {
        guard let segment = segment(holding: frame.offset) else { return nil }
        let all = try bytes(
            in: segment,
            at: frame.offset,
            count: FrameHeader.byteCount + Int(frame.payloadBytes)
        )
        guard all.count == FrameHeader.byteCount + Int(frame.payloadBytes) else { return nil }
        let payload = UnsafeRawBufferPointer(rebasing: all[FrameHeader.byteCount...])
        guard CRC32C.checksum(payload) == frame.payloadChecksum else { return nil }
        return payload
    }

    /// The records of a frame in the layout of `RecordBatch`, or nil where its payload is not what
    /// was written.
    ///
    /// Valid until the next call.
    mutating func records(of frame: FrameHeader) throws(LogError) -> UnsafeRawBufferPointer? {
        let payload: UnsafeRawBufferPointer?
        do {
            payload = try self.payload(of: frame)
        } catch {
            throw .system(error)
        }
        guard frame.isEncrypted, let payload else { return payload }
        guard let keys else { preconditionFailure("records are read with keys") }
        let space = plainSpace(frame.plainBytes)
        return try keys.open(payload, of: frame, into: space) ? UnsafeRawBufferPointer(space) : nil
    }

    private mutating func plainSpace(_ count: Int) -> UnsafeMutableRawBufferPointer {
        if (plain?.count ?? -1) < count {
            plain?.deallocate()
            plain = .allocate(byteCount: max(count, 64 * 1024), alignment: 16)
        }
        guard let plain else { preconditionFailure("allocated above") }
        return UnsafeMutableRawBufferPointer(rebasing: plain[..<count])
    }

    /// The first valid frame behind `offset` in a segment, wherever it begins.
    mutating func nextFrame(
        after offset: UInt64,
        in segment: Segment
    ) throws(SystemError)
        -> FrameHeader?
    {
        var place = offset + UInt64(RecordBatch.alignmentBytes)
        let end = end(of: segment)
        while place + UInt64(FrameHeader.byteCount) <= end {
            let view = try bytes(in: segment, at: place, count: min(windowBytes, Int(end - place)))
            guard view.count >= FrameHeader.byteCount else { return nil }
            for step in stride(
                from: 0,
                through: view.count - FrameHeader.byteCount,
                by: RecordBatch.alignmentBytes
            )
            where FrameHeader.isMagic(view.load32(step)) {
                let header = FrameHeader(
                    UnsafeRawBufferPointer(rebasing: view[step...]),
                    expectedOffset: place + UInt64(step),
                    logTag: logTag
                )
                if let header, header.end.position.offset <= end { return header }
            }
            let steps = (view.count - FrameHeader.byteCount) / RecordBatch.alignmentBytes + 1
            place += UInt64(steps * RecordBatch.alignmentBytes)
        }
        return nil
    }

    /// What can be rescued of a damaged range, and where it lies.
    mutating func damage(
        from start: UInt64,
        to end: UInt64,
        reason: String
    ) throws(SystemError)
        -> LogDamage
    {
        let most = UInt64(FrameHeader.byteCount + FrameHeader.maximumPayloadBytes)
        guard let segment = segment(holding: start) else {
            return LogDamage(
                start: start,
                end: end,
                reason: reason,
                location: "no file",
                bytes: []
            )
        }
        let bytes = try segment.file.salvage(
            Int(min(end - start, most)),
            at: segment.place(of: start)
        ).bytes
        return LogDamage(
            start: start,
            end: end,
            reason: reason,
            location: "\(segment.file.path) at byte \(segment.place(of: start))",
            bytes: bytes
        )
    }

    /// Why some bytes of a segment cannot be had from the storage; nil where they can be.
    func failure(
        of count: Int,
        at offset: UInt64,
        in segment: Segment
    ) throws(SystemError) -> SystemError? {
        // Most often the window tells.
        if windowFailure == nil, windowSegment == segment.base { return nil }
        // As it is read: whole pages.
        let page = UInt64(File.pageBytes)
        let start = segment.place(of: offset) / page * page
        let end = (segment.place(of: offset) + UInt64(count) + page - 1) / page * page
        return try segment.file.salvage(Int(end - start), at: start).failure
    }

    /// The same for a frame.
    func failure(of frame: FrameHeader) throws(SystemError) -> SystemError? {
        guard let segment = segment(holding: frame.offset) else { return nil }
        return try failure(of: Int(frame.frameBytes), at: frame.offset, in: segment)
    }

    private func segment(holding offset: UInt64) -> Segment? {
        guard let segment = segments.last(where: { $0.base <= offset }), offset < end(of: segment)
        else { return nil }
        return segment
    }

    private func end(of segment: Segment) -> UInt64 { min(segment.end ?? limit, limit) }

    /// `count` bytes from `offset` on, fewer where the file ends; valid until the next call.
    private mutating func bytes(
        in segment: Segment,
        at offset: UInt64,
        count: Int
    )
        throws(SystemError) -> UnsafeRawBufferPointer
    {
        let isInside =
            windowSegment == segment.base && offset >= windowBase
            && offset + UInt64(count) <= windowBase + UInt64(windowCount)
        if !isInside {
            if count > buffer.count {
                buffer.deallocate()
                buffer = .allocate(byteCount: count, alignment: 16)
            }
            let most = Int(min(UInt64(max(count, windowBytes)), end(of: segment) - offset))
            // What cannot be read fails its checksum, as what is wrong does.
            (windowCount, windowFailure) = try segment.file.salvage(
                into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<max(most, 0)]),
                at: segment.place(of: offset)
            )
            windowBase = offset
            windowSegment = segment.base
            generation = segment.generation
        }
        let start = Int(offset - windowBase)
        let most = min(count, windowCount - start)
        return UnsafeRawBufferPointer(rebasing: buffer[start..<start + most])
    }
}
