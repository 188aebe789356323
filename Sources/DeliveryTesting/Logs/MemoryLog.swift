internal import Dispatch
internal import Records
internal import Synchronization

/// A log in memory that is open.
final class MemoryLog: RecordLog {
    private let content: MemoryLogContent
    private let maximumLogBytes: UInt64
    private let time: any TimeSource
    /// Batches become durable there, in order, after their append has returned.
    private let queue = DispatchQueue(label: "memory log")
    private let isClosed = Mutex(false)

    init(_ content: MemoryLogContent, maximumLogBytes: UInt64, time: any TimeSource) {
        self.content = content
        self.maximumLogBytes = maximumLogBytes
        self.time = time
    }

    var identity: UInt64 { content.identity }
    var tail: LogMark { content.tail }

    func generation(at mark: LogMark) -> UInt64 {
        content.frames.all.first { $0.end.position > mark.position }?.generation ?? identity
    }

    func generation(before mark: LogMark) -> UInt64 {
        content.frames.all.last { $0.start.position < mark.position }?.generation ?? identity
    }

    var nextRecord: RecordNumber { content.nextRecord }
    var backlogBytes: UInt64 { content.backlogBytes }

    // MARK: Append

    func append(
        _ batch: RecordBatch,
        arrival: Timestamp?,
        completion: @escaping AppendCompletion
    ) {
        guard backlogBytes < maximumLogBytes else { return completion(.failure(.slowDown)) }
        let isClosed = isClosed.withLock { isClosed in
            if !isClosed {
                queue.async { [content, time] in
                    completion(.success(content.append(batch, arrival ?? time.now())))
                }
            }
            return isClosed
        }
        guard isClosed else { return }
        completion(.failure(FirehoseError(.serviceUnavailable, "The server is stopping.")))
    }

    func close() async {
        isClosed.withLock { $0 = true }
        await withCheckedContinuation { continuation in
            queue.async { continuation.resume() }
        }
    }

    // MARK: Encryption

    var isEncryptionInUse: Bool { false }
    var encryptionFailure: LogKeyFailure? { nil }

    func setEncryption(_ isOn: Bool) throws(FirehoseError) {
        if isOn { throw FirehoseError(MemoryLogs.noKey) }
    }

    // MARK: Readers

    func addReader(_ name: String, at mark: LogMark) { content.addReader(name, at: mark) }

    func removeReader(_ name: String) { content.removeReader(name) }

    func checkpoint(of reader: String) -> LogMark {
        guard let mark = content.checkpoint(of: reader) else {
            preconditionFailure("the log was opened without a reader \(reader)")
        }
        return mark
    }

    func moveCheckpoint(of reader: String, to mark: LogMark) {
        content.moveCheckpoint(of: reader, to: mark)
    }

    func wake(
        _ reader: String,
        atRecords records: UInt64,
        orBytes bytes: UInt64,
        _ action: @escaping @Sendable () -> Void
    ) {
        content.wake(reader, atRecords: records, orBytes: bytes, action)
    }

    // MARK: Read

    func arrival(after mark: LogMark) -> Timestamp? {
        content.frames.all.first { $0.end.position > mark.position }?.arrival
    }

    func cut(
        from mark: LogMark,
        maximumBytes: UInt64,
        maximumRecords: UInt64,
        limit: LogMark
    ) -> LogMark {
        var end = mark
        for frame in content.frames.all where frame.end.position > mark.position {
            var position = frame.start.position
            for record in frame.batch.records {
                defer { position.record += 1 }
                if position < mark.position { continue }
                guard position < limit.position else { return limit }
                let isLast = position.record + 1 == frame.batch.recordCount
                let next = LogMark(
                    position: isLast
                        ? frame.end.position
                        : LogPosition(offset: frame.offset, record: position.record + 1),
                    records: end.records + 1,
                    bytes: end.bytes + UInt64(record.count)
                )
                let holds =
                    next.bytes - mark.bytes <= maximumBytes
                    && next.records - mark.records <= maximumRecords
                guard holds || end.records == mark.records else { return end }
                end = next
            }
        }
        return limit
    }

    func read(
        from mark: LogMark,
        to end: LogMark,
        _ body: (LogChunk) throws -> Void
    ) throws {
        let (frames, beginning) = content.frames
        if mark.position < min(beginning.position, end.position) {
            let damage = LogDamage(
                start: mark.position.offset,
                end: beginning.position.offset,
                reason: "every reader has passed it",
                location: "memory",
                bytes: []
            )
            try body(.damaged(damage))
        }
        for frame in frames
        where frame.end.position > mark.position && frame.start.position < end.position {
            let from = frame.offset == mark.position.offset ? Int(mark.position.record) : 0
            let to =
                frame.offset == end.position.offset
                ? Int(end.position.record) : frame.batch.recordCount
            guard from < to else { continue }
            let part = RecordBatch(Array(frame.batch.records[from..<to]))
            let records = LogRecords(
                part.payload,
                first: frame.first + from,
                count: to - from,
                arrival: frame.arrival,
                generation: frame.generation
            )
            try withExtendedLifetime(part) { try body(.records(records)) }
        }
    }
}
