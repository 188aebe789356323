internal import Platform
internal import Records

/// What opening a log found.
struct LogRecovery {
    var segments: [Segment] = []
    var logIdentity: UInt64
    /// The mark at the first segment's beginning.
    var start = LogMark.start
    var end = LogMark.start
    /// The end of the last encrypted frame of the last segment, 0 where it has none.
    var encryptedEnd: UInt64 = 0
    /// Bytes behind the end that look like the start of a write that never finished.
    var tornBytes: UInt64 = 0
    /// Ranges below the end that hold no valid frame.
    var damaged: [Range<UInt64>] = []
    /// Segments whose header cannot be read; their frames can.
    var damagedHeaders: [String] = []
    /// True where the end that was found lies below what is known to have been in the log.
    var lostItsEnd = false

    private var tag: UInt32 { UInt32(truncatingIfNeeded: logIdentity) }
}

extension LogRecovery {
    /// Finds a log's segments and its end.
    ///
    /// Reads every segment's header, the frame headers of the last segment, and the payloads behind
    /// the last known sync; syncs the last segment, so that what was found stays.
    ///
    /// - Parameters:
    ///   - folder: The log's folder.
    ///   - files: Opens its segments.
    ///   - knownIdentity: The log's number as its checkpoints have it.
    ///   - floors: Marks that were in the log once: checkpoints, and ends of buffers that are encrypted.
    ///     The log goes on behind them all, so that no new record gets a place that counts as
    ///     delivered.
    ///   - isReadOnly: Whether nothing may be changed, and so nothing is made durable.
    /// - Throws: `LogError` where a file cannot be read or is of another version.
    init(
        folder: String,
        files: SegmentFiles,
        knownIdentity: UInt64?,
        floors: [LogMark],
        isReadOnly: Bool = false
    )
        throws(LogError)
    {
        logIdentity = knownIdentity ?? UInt64.random(in: 1 ... .max)
        try LogError.catching { () throws(SystemError) in
            try openSegments(folder, files, isReadOnly)
        }
        try readHeaders(knownIdentity)
        try LogError.catching { () throws(SystemError) in
            try findEnd()
            if !isReadOnly { try segments.last?.file.open().sync() }
        }
        for floor in floors {
            if floor.position > end.position {
                end.position = floor.roundedUp.position
                lostItsEnd = true
            }
            end.records = max(end.records, floor.records)
            end.bytes = max(end.bytes, floor.bytes)
        }
    }

    private mutating func openSegments(
        _ folder: String,
        _ files: SegmentFiles,
        _ isReadOnly: Bool
    ) throws(SystemError) {
        for name in try Folder.list(folder) {
            if !isReadOnly, name.hasSuffix(Segment.suffix + Segment.unfinishedSuffix) {
                try Folder.remove(folder + "/" + name)
            }
            guard let base = Segment.base(ofName: name) else { continue }
            let mode: File.Mode = isReadOnly ? .read : .update
            let file = SegmentFile(folder + "/" + name, mode, files)
            segments.append(
                Segment(
                    file: file,
                    base: base,
                    end: nil,
                    capacity: try file.size(),
                    generation: 0
                )
            )
        }
        segments.sort { $0.base < $1.base }
        for index in segments.indices.dropLast() {
            segments[index].end = segments[index + 1].base
        }
    }

    private mutating func readHeaders(_ knownIdentity: UInt64?) throws(LogError) {
        for (index, segment) in segments.enumerated() {
            let bytes = try LogError.catching { () throws(SystemError) in
                try segment.file.salvage(SegmentHeader.usedBytes, at: 0).bytes
            }
            switch SegmentHeader.decode(bytes) {
            case .valid(let header)
            where header.base.position.offset == segment.base
                && knownIdentity ?? header.logIdentity == header.logIdentity:
                logIdentity = header.logIdentity
                segments[index].generation = header.generation
                end = header.base
            case .otherVersion(let version):
                throw .otherVersion(path: segment.file.path, version: version)
            case .valid, .damaged:
                // The frames say themselves where they belong: nothing is lost with the header.
                damagedHeaders.append(segment.file.path)
                end.position = LogPosition(offset: segment.base)
            }
            if index == 0 { start = end }
        }
        for index in segments.indices where segments[index].generation == 0 {
            segments[index].generation = logIdentity
        }
    }

    /// Walks the last segment's frames; where its header is lost, also those of the one before, for
    /// the counts.
    private mutating func findEnd() throws(SystemError) {
        guard let last = segments.last else { return }
        if segments.count > 1, damagedHeaders.contains(last.file.path) {
            let before = segments[segments.count - 2]
            _ = try walk(before, to: last.base)
            end.position = LogPosition(offset: last.base)
        }
        let limit =
            last.base + max(last.capacity, UInt64(SegmentHeader.byteCount))
            - UInt64(SegmentHeader.byteCount)
        let unsynced = try walk(last, to: limit)
        var reader = FrameReader([last], of: tag, limit: limit, windowBytes: 256 * 1024)
        for frame in unsynced {
            guard try reader.payload(of: frame) == nil else { continue }
            if try reader.failure(of: frame) != nil {
                // It was written as a whole: a write that tears leaves other bytes, and no failure.
                damaged.append(frame.offset..<frame.end.position.offset)
                continue
            }
            end = frame.start
            break
        }
        tornBytes = try leftover(in: last, from: end.position.offset, to: limit)
    }

    /// Follows the frames of a segment, and moves the end behind the last.
    ///
    /// A gap with a frame behind it that was written after the gap had been synced is damage; any
    /// other end of the chain is its end.
    ///
    /// - Returns: The frames that no later one is known to have been synced before.
    private mutating func walk(
        _ segment: Segment,
        to limit: UInt64
    ) throws(SystemError)
        -> [FrameHeader]
    {
        var reader = FrameReader([segment], of: tag, limit: limit, windowBytes: 256 * 1024)
        var offset = segment.base
        var committed = segment.base
        var unsynced: [FrameHeader] = []
        while offset < limit {
            if let frame = try reader.header(at: offset, in: segment) {
                if frame.committed > committed {
                    committed = frame.committed
                    unsynced.removeAll { $0.offset < committed }
                }
                unsynced.append(frame)
                offset = frame.end.position.offset
                end = frame.end
                if frame.isEncrypted { encryptedEnd = offset }
                continue
            }
            let failure = try reader.failure(of: FrameHeader.byteCount, at: offset, in: segment)
            let next = try frameAfter(
                offset,
                in: segment,
                &reader,
                limit,
                isUnreadable: failure != nil
            )
            guard let next else {
                guard failure != nil else { break }
                // Whether a frame was there, nobody can tell: the log goes on behind any that was.
                lostItsEnd = true
                end.position = LogPosition(offset: offset + LogMark.mostFrameBytes)
                break
            }
            damaged.append(offset..<next.offset)
            offset = next.offset
        }
        return unsynced.filter { $0.offset >= committed }
    }

    /// A frame behind `offset` that was written when `offset` was already durable, within the reach
    /// of one damaged frame; any frame, where the storage cannot tell what is at `offset`, as a write that
    /// tears leaves other bytes and no failure.
    private func frameAfter(
        _ offset: UInt64,
        in segment: Segment,
        _ reader: inout FrameReader,
        _ limit: UInt64,
        isUnreadable: Bool
    ) throws(SystemError) -> FrameHeader? {
        let reach = UInt64(2 * (FrameHeader.byteCount + FrameHeader.maximumPayloadBytes))
        var near = segment
        near.end = min(limit, offset + reach)
        var place = offset
        while let next = try reader.nextFrame(after: place, in: near) {
            if isUnreadable || next.committed > offset { return next }
            place = next.offset
        }
        return nil
    }

    /// How many bytes an unfinished frame takes behind the end; 0 where none was begun.
    private func leftover(
        in segment: Segment,
        from start: UInt64,
        to limit: UInt64
    )
        throws(SystemError) -> UInt64
    {
        let header = try segment.file.salvage(
            Int(min(limit - min(start, limit), UInt64(FrameHeader.byteCount))),
            at: segment.place(of: start)
        ).bytes
        return header.withUnsafeBytes { bytes in
            guard bytes.count == FrameHeader.byteCount, FrameHeader.isMagic(bytes.load32(0)),
                bytes.load64(8) == start, bytes.load32(28) == tag
            else { return 0 }
            return min(
                UInt64(bytes.load32(16)) + UInt64(FrameHeader.byteCount),
                limit - start
            )
        }
    }
}

extension LogMark {
    /// The mark itself at the edge of a batch; inside one, a place surely behind it.
    fileprivate var roundedUp: LogMark {
        guard position.record > 0 else { return self }
        var mark = self
        mark.position = LogPosition(offset: position.offset + Self.mostFrameBytes)
        return mark
    }

    /// Bytes of the largest frame.
    fileprivate static var mostFrameBytes: UInt64 {
        UInt64(FrameHeader.byteCount + RecordBatch.padded(FrameHeader.maximumPayloadBytes))
    }
}
