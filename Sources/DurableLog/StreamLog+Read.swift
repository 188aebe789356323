internal import Logging
internal import Platform
package import Records
internal import Synchronization

extension StreamLog {
    /// Headers are read through a small window, payloads through a large one.
    private static let headerWindowBytes = 64 * 1024
    private static let payloadWindowBytes = 1024 * 1024

    private func reader(limit: UInt64, windowBytes: Int) -> FrameReader {
        FrameReader(
            segments.withLock { $0 },
            of: tag,
            keys: encryption,
            limit: limit,
            windowBytes: windowBytes
        )
    }

    package func arrival(after mark: LogMark) throws -> Timestamp? {
        let limit = tail.position.offset
        var reader = reader(limit: limit, windowBytes: 4096)
        var offset = mark.position.offset
        while offset < limit {
            switch try reader.frame(at: offset) {
            case .frame(let frame): return frame.arrival
            case .damaged(let next, _): offset = next
            }
        }
        return nil
    }

    package func cut(
        from mark: LogMark,
        maximumBytes: UInt64,
        maximumRecords: UInt64,
        limit: LogMark
    ) throws -> LogMark {
        let target = CutTarget(mark, maximumBytes: maximumBytes, maximumRecords: maximumRecords)
        if target.holds(limit) { return limit }
        var reader = reader(limit: limit.position.offset, windowBytes: Self.headerWindowBytes)
        var end = mark
        var offset = mark.position.offset
        while offset < limit.position.offset {
            switch try reader.frame(at: offset) {
            case .frame(let frame) where target.holds(frame.end):
                end = frame.end
                offset = end.position.offset
            case .frame(let frame):
                let start = frame.offset == mark.position.offset ? mark : frame.start
                guard let payload = try reader.records(of: frame) else {
                    return end == mark ? frame.end : end
                }
                return Self.cut(
                    frame,
                    payload,
                    from: start,
                    target: target,
                    takeOne: start == mark
                )
            case .damaged(let next, _):
                offset = next
            }
        }
        return limit
    }

    /// What a cut may reach, counted from the log's beginning.
    private struct CutTarget {
        var bytes: UInt64
        var records: UInt64

        init(_ mark: LogMark, maximumBytes: UInt64, maximumRecords: UInt64) {
            let (bytes, isTooLarge) = mark.bytes.addingReportingOverflow(maximumBytes)
            self.bytes = isTooLarge ? .max : bytes
            let (records, areTooMany) = mark.records.addingReportingOverflow(maximumRecords)
            self.records = areTooMany ? .max : records
        }

        func holds(_ mark: LogMark) -> Bool { mark.bytes <= bytes && mark.records <= records }
    }

    /// Where to cut inside a frame: before the record that goes over `target`.
    private static func cut(
        _ frame: FrameHeader,
        _ payload: UnsafeRawBufferPointer,
        from start: LogMark,
        target: CutTarget,
        takeOne: Bool
    ) -> LogMark {
        var mark = start
        var place = 0
        var index: UInt32 = 0
        while let end = RecordLayout.end(ofRecordAt: place, in: payload) {
            defer {
                place = end
                index += 1
            }
            guard index >= start.position.record else { continue }
            var next = mark
            next.position.record += 1
            next.records += 1
            next.bytes += UInt64(end - place - RecordBatch.lengthPrefixBytes)
            guard target.holds(next) || (takeOne && mark == start) else { break }
            mark = next
        }
        return mark.position.record == frame.recordCount ? frame.end : mark
    }

    package func read(
        from mark: LogMark,
        to end: LogMark,
        _ body: (LogChunk) throws -> Void
    ) throws {
        var reader = reader(
            limit: max(end.position.offset, tail.position.offset),
            windowBytes: Self.payloadWindowBytes
        )
        var offset = mark.position.offset
        while LogPosition(offset: offset) < end.position {
            switch try reader.frame(at: offset) {
            case .frame(let frame):
                let first = offset == mark.position.offset ? mark.position.record : 0
                let last = offset == end.position.offset ? end.position.record : frame.recordCount
                try give(frame, records: first..<max(first, last), &reader, body)
                offset = frame.end.position.offset
            case .damaged(let next, let reason):
                let stop = min(next, max(end.position.offset, offset + 1))
                try body(.damaged(reader.damage(from: offset, to: stop, reason: reason)))
                offset = next
            }
        }
    }

    private func give(
        _ frame: FrameHeader,
        records: Range<UInt32>,
        _ reader: inout FrameReader,
        _ body: (LogChunk) throws -> Void
    ) throws {
        guard let payload = try reader.records(of: frame) else {
            let damage = try reader.damage(
                from: frame.offset,
                to: frame.end.position.offset,
                reason: try reader.failure(of: frame).map { "\($0)" } ?? "wrong checksum"
            )
            return try body(.damaged(damage))
        }
        var place = 0
        var start = 0
        for index in 0..<records.upperBound {
            if index == records.lowerBound { start = place }
            guard let end = RecordLayout.end(ofRecordAt: place, in: payload) else {
                let damage = try reader.damage(
                    from: frame.offset,
                    to: frame.end.position.offset,
                    reason: "wrong lengths"
                )
                return try body(.damaged(damage))
            }
            place = end
        }
        guard !records.isEmpty else { return }
        try body(
            .records(
                LogRecords(
                    UnsafeRawBufferPointer(rebasing: payload[start..<place]),
                    first: RecordNumber(frame.firstRecord) + Int(records.lowerBound),
                    count: records.count,
                    arrival: frame.arrival,
                    generation: reader.generation
                )
            )
        )
    }

    // MARK: Checkpoints

    package func addReader(_ name: String, at mark: LogMark) throws {
        try readers.withLock { readers in
            guard readers[name] == nil else { return }
            let (file, old) = try CheckpointFile.open(name, in: folder, logger)
            let slowest =
                readers.values.map(\.slot.mark)
                .min { $0.position < $1.position } ?? mark
            let slot = CheckpointFile.Slot(
                sequence: (old?.sequence ?? 0) + 1,
                mark: slowest.position > mark.position ? slowest : mark,
                logIdentity: identity
            )
            try file.store(slot)
            readers[name] = Reader(file: file, slot: slot)
            checkpoints.withLock { $0[name] = slot.mark }
        }
    }

    /// Its checkpoint's file stays, where a reader that is added later goes on counting.
    package func removeReader(_ name: String) {
        readers.withLock { readers in
            readers[name] = nil
            checkpoints.withLock { $0[name] = nil }
        }
        releasePassedSegments()
    }

    package func checkpoint(of reader: String) -> LogMark {
        guard let mark = checkpoints.withLock({ $0[reader] }) else {
            preconditionFailure("the log was opened without a reader \(reader)")
        }
        return mark
    }

    package func moveCheckpoint(of reader: String, to mark: LogMark) throws {
        try readers.withLock { readers in
            guard var moved = readers[reader] else {
                preconditionFailure("the log was opened without a reader \(reader)")
            }
            precondition(mark.position >= moved.slot.mark.position, "checkpoints never go back")
            moved.slot = CheckpointFile.Slot(
                sequence: moved.slot.sequence + 1,
                mark: mark,
                logIdentity: identity
            )
            try moved.file.store(moved.slot)
            readers[reader] = moved
            checkpoints.withLock { $0[reader] = mark }
        }
        releasePassedSegments()
    }

    /// Gives back the segments that every reader has passed.
    ///
    /// The last one stays.
    func releasePassedSegments() {
        let slowest = checkpoints.withLock { $0.values.map(\.position.offset).min() }
        guard let slowest else { return }
        slowestOffset.store(slowest, ordering: .relaxed)
        let passed = segments.withLock { list in
            let count = list.prefix { ($0.end ?? .max) <= slowest }.count
            defer { list.removeFirst(count) }
            return Array(list.prefix(count))
        }
        for segment in passed {
            do throws(SystemError) {
                let free = options.freeBytes(folder) ?? .max
                // Where space is short, other files may need it more than the next segment.
                if segment.capacity == options.segmentBytes, free > Limits.minimumFreeDiskBytes {
                    try pool.give(segment.file.path)
                } else {
                    try Folder.remove(segment.file.path)
                }
            } catch {
                logger.warning(
                    "a used segment cannot be removed",
                    metadata: ["path": "\(segment.file.path)", "error": "\(error)"]
                )
            }
        }
    }
}
