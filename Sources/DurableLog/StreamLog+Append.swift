internal import Glibc
internal import Logging
internal import Platform
package import Records
internal import Synchronization

extension StreamLog {
    package func append(
        _ batch: RecordBatch,
        arrival: Timestamp?,
        completion: @escaping AppendCompletion
    ) {
        guard backlogBytes < options.maximumLogBytes else {
            return completion(.failure(.slowDown))
        }
        // It could be written, but never be read.
        guard
            EncryptedPayload.byteCount(ofPlain: batch.payloadBytes)
                <= FrameHeader.maximumPayloadBytes
        else {
            let error = FirehoseError(.serviceUnavailable, "The batch is too large for the log.")
            return completion(.failure(error))
        }
        if let problem = encryption.problem { return completion(.failure(problem)) }
        let pending = PendingAppend(batch: batch, arrival: arrival, completion: completion)
        let action = queue.withLock { $0.append(pending, bytes: batch.payloadBytes) }
        switch action {
        case .startWriting: threads.submit { self.writeGroup() }
        case .none: break
        case .rejectFull: completion(.failure(.slowDown))
        case .rejectClosed:
            completion(.failure(FirehoseError(.serviceUnavailable, "The server is stopping.")))
        }
    }

    package func close() async {
        if queue.withLock({ $0.close() }) == .finishClosing { finishClosing() }
        await withCheckedContinuation { continuation in
            let isClosed = closed.withLock { state in
                switch state {
                case .closed: return true
                case .open: state = .waiting([continuation])
                case .waiting(let others): state = .waiting(others + [continuation])
                }
                return false
            }
            if isClosed { continuation.resume() }
        }
    }

    private func finishClosing() {
        let waiting = closed.withLock { state in
            defer { state = .closed }
            if case .waiting(let continuations) = state { return continuations }
            return []
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Writes one group, and sees that the next is written: one turn for each, so that a busy
    /// stream does not keep a thread to itself.
    private func writeGroup() {
        let group = queue.withLock { $0.takeGroup() }
        let results = writer.withLock { writer in write(group, &writer) }
        for (pending, result) in zip(group, results) { pending.completion(result) }
        groupEnded()
    }

    /// Sees that what waited meanwhile is written, or the log is closed.
    func groupEnded() {
        switch queue.withLock({ $0.groupEnded() }) {
        case .writeNext: threads.submit { self.writeGroup() }
        case .rest: break
        case .finishClosing: finishClosing()
        }
    }

    private func write(
        _ group: [PendingAppend],
        _ writer: inout Writer
    )
        -> [Result<AppendReceipt, FirehoseError>]
    {
        var results: [Result<AppendReceipt, FirehoseError>] = []
        results.reserveCapacity(group.count)
        do throws(SystemError) {
            while results.count < group.count {
                let run = try writeRun(group[results.count...], &writer)
                results.append(contentsOf: run.map { .success($0) })
            }
        } catch {
            // What the file holds now is not known: go on in a new one, from the last durable mark.
            writer.current = nil
            logger.error(
                error.call == .stat ? Self.goneMessage : Self.failedMessage,
                metadata: ["folder": "\(folder)", "error": "\(error)"]
            )
            let failure =
                error.isDiskFull
                ? FirehoseError.slowDown
                : FirehoseError(
                    .serviceUnavailable,
                    error.isOutOfDescriptors
                        ? Self.noDescriptors : "The records could not be made durable."
                )
            while results.count < group.count { results.append(.failure(failure)) }
        }
        return results
    }

    private static let noDescriptors =
        "The records could not be made durable: the server has reached its limit on open files."
    private static let failedMessage: Logger.Message =
        "the log cannot be written, puts are refused until it can"
    private static let goneMessage: Logger.Message =
        "the data folder was removed or replaced: puts are refused until it is restored, or the server restarted"

    /// Writes as many batches as the segment takes, and makes them durable.
    private func writeRun(
        _ batches: ArraySlice<PendingAppend>,
        _ writer: inout Writer
    )
        throws(SystemError) -> [AppendReceipt]
    {
        guard options.isInPlace() else { throw SystemError(.stat, path: folder, code: ESTALE) }
        let isEncrypted = encryption.isOn
        let first = batches[batches.startIndex].frameBytes(isEncrypted: isEncrypted)
        let segment = try segmentWithRoom(for: first, &writer)
        let room = segment.capacity - segment.place(of: writer.end.position.offset)
        var run = FrameRun(capacity: batches.count, from: writer.end)
        let encrypted = isEncrypted ? encryptionSpaces.take() : nil
        defer { if let encrypted { encryptionSpaces.giveBack(encrypted) } }
        encrypted?.begin(batches.reduce(0) { $0 + Int($1.frameBytes(isEncrypted: true)) })
        let now = options.time.now()
        for pending in batches {
            let frameBytes = pending.frameBytes(isEncrypted: isEncrypted)
            guard run.bytes + frameBytes <= room else { break }
            run.bytes += frameBytes
            try add(pending, to: &run, encrypted, writer, arrival: pending.arrival ?? now)
        }
        let file = try segment.file.open()
        try file.write(
            gathering: &run.parts,
            at: segment.place(of: writer.end.position.offset)
        )
        if options.durability == .fsync {
            let began = ContinuousClock.now
            try file.sync()
            options.onSync?(began.duration(to: .now))
        }
        // What was removed, moved or hidden since, no start would find.
        guard file.isInPlace else {
            throw SystemError(.stat, path: segment.file.path, code: ENOENT)
        }
        writer.end = run.end
        publish(run.end)
        return run.receipts
    }

    /// Adds a batch's frame to a run; its payload stays where it is, or is encrypted into `space`.
    private func add(
        _ pending: PendingAppend,
        to run: inout FrameRun,
        _ space: EncryptionSpace?,
        _ writer: Writer,
        arrival: Timestamp
    ) throws(SystemError) {
        let isEncrypted = space != nil
        var header = FrameHeader(
            of: tag,
            at: run.end,
            payloadBytes: UInt32(pending.payloadBytes(isEncrypted: isEncrypted)),
            recordCount: UInt32(pending.batch.recordCount),
            payloadChecksum: 0,
            arrival: arrival,
            committed: writer.end.position.offset,
            isEncrypted: isEncrypted
        )
        var payload = isEncrypted ? pending.batch.payload : pending.batch.paddedPayload
        if let space {
            let (place, padded) = space.next(Int(header.payloadBytes))
            try encryption.encrypt(
                payload,
                of: &header,
                into: place,
                passed: slowestOffset.load(ordering: .relaxed)
            )
            payload = padded
        } else {
            header.payloadChecksum = CRC32C.checksum(pending.batch.payload)
        }
        let receipt = AppendReceipt(
            generation: generation,
            .init(first: RecordNumber(run.end.records), count: pending.batch.recordCount),
            isEncrypted: isEncrypted
        )
        run.append(header, payload, receipt)
    }

    private func publish(_ mark: LogMark) {
        let due = durable.withLock { tail in
            tail.mark = mark
            tail.isActive = true
            // Most often nobody is woken: no memory is taken to find that out.
            guard tail.wakes.values.contains(where: { $0.isDue(at: mark) }) else {
                return [] as [StreamLog.Wake]
            }
            let due = tail.wakes.filter { $0.value.isDue(at: mark) }
            for name in due.keys { tail.wakes[name] = nil }
            return Array(due.values)
        }
        for wake in due { wake.action() }
    }

    // MARK: Segments

    private func segmentWithRoom(
        for bytes: UInt64,
        _ writer: inout Writer
    ) throws(SystemError)
        -> Segment
    {
        if let current = writer.current,
            current.place(of: writer.end.position.offset) + bytes <= current.capacity
        {
            return current
        }
        let end = writer.end
        let delivered = deliverer.flatMap { name in checkpoints.withLock { $0[name] } }
        let isDelivered = delivered.map { $0.position >= end.position } ?? false
        let segment = try maker.make(
            at: end,
            for: bytes,
            number: writer.segmentCount,
            isDelivered: isDelivered
        )
        goOn(in: segment, &writer)
        return segment
    }

    var maker: SegmentMaker {
        SegmentMaker(
            folder: folder,
            options: options,
            pool: pool,
            files: files,
            logger: logger,
            logIdentity: identity,
            generation: generation
        )
    }

    /// Appends to a new segment from now on.
    func goOn(in segment: Segment, _ writer: inout Writer) {
        segments.withLock { list in
            // A segment that failed before its first frame became durable has the same base.
            if list.last?.base == segment.base { list.removeLast() }
            if let last = list.indices.last { list[last].end = segment.base }
            list.append(segment)
            // The one that has just become too old to be read soon.
            let cold = list.count - 1 - Limits.cachedSegments
            if cold >= 0 { list[cold].file.dropFromMemory() }
        }
        writer.current = segment
        writer.segmentCount += 1
    }
}
