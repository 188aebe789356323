internal import Glibc
internal import Logging
internal import Platform
internal import Records

/// Makes a log's segments, or takes used ones.
struct SegmentMaker {
    let folder: String
    let options: LogOptions
    let pool: SegmentPool
    let files: SegmentFiles
    let logger: Logger
    let logIdentity: UInt64
    let generation: UInt64

    /// A used segment to write over, or how large a new one is to be.
    private func space(
        for bytes: UInt64,
        number: Int,
        isDelivered: Bool
    ) throws(SystemError) -> (spare: String?, capacity: UInt64) {
        let needed = UInt64(SegmentHeader.byteCount) + bytes
        let usual = max(options.segmentBytes(ofNumber: number), needed)
        if usual == options.segmentBytes, let spare = pool.take() { return (spare, usual) }
        guard let free = options.freeBytes(folder) else { return (nil, usual) }
        let space = DiskSpace(
            free: free,
            usual: usual,
            needed: needed,
            isDelivered: isDelivered
        )
        if let capacity = options.diskFloor.capacity(space) { return (nil, capacity) }
        // It has its place on the disk already, whatever the floor.
        if needed <= options.segmentBytes, let spare = pool.take() {
            return (spare, options.segmentBytes)
        }
        throw SystemError(.allocate, path: folder, code: ENOSPC)
    }

    /// Makes a segment's file: header and size are durable before it gets its name.
    ///
    /// `bytes` is the size of the first frame; `number` counts segments from 0 since the log was opened or
    /// idle; `isDelivered` as `DiskSpace` has it.
    func make(
        at mark: LogMark,
        for bytes: UInt64,
        number: Int,
        isDelivered: Bool
    ) throws(SystemError) -> Segment {
        let (spare, capacity) = try space(for: bytes, number: number, isDelivered: isDelivered)
        return try make(at: mark, spare: spare, capacity: capacity)
    }

    /// Makes the smallest, for a log that gives back what it took: whatever the disk's floor.
    func makeSmallest(at mark: LogMark) throws(SystemError) -> Segment {
        try make(at: mark, spare: nil, capacity: options.firstSegmentBytes)
    }

    private func make(
        at mark: LogMark,
        spare: String?,
        capacity: UInt64
    ) throws(SystemError) -> Segment {
        let path = folder + "/" + Segment.name(base: mark.position.offset)
        let temporary = spare ?? path + Segment.unfinishedSuffix
        do throws(SystemError) {
            let mode: File.Mode = spare == nil ? .replace : .update
            let file = try files.open(temporary, mode)
            if spare == nil { try file.preallocate(capacity) }
            let header = SegmentHeader(logIdentity: logIdentity, base: mark, generation: generation)
            try file.write(header.encoded, at: 0)
            try file.sync()
            try Folder.rename(temporary, to: path)
        } catch {
            // What a disk that is full gave of it is of use to others.
            do { try Folder.remove(temporary) } catch { logger.debug("\(error)") }
            throw error
        }
        try Folder.sync(folder)
        return Segment(
            file: SegmentFile(path, .update, files),
            base: mark.position.offset,
            end: nil,
            capacity: capacity,
            generation: generation
        )
    }
}
