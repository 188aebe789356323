internal import DurableLog
internal import Records
internal import Synchronization

/// A stream's transformed records on disk, and how far they go.
final class OutcomeLog: Sendable {
    /// Holds frames until the stream's own checkpoint is known to have passed what they came from.
    private static let progressReader = "progress"

    let log: StreamLog
    /// Ends of batches whose outcome is durable, each with the log's end behind it.
    private let appended = Mutex<[(source: LogMark, outcome: LogMark)]>([])
    /// The numbers of progress records that are not delivered yet, of this run of the server.
    private let notes = Mutex<[UInt64]>([])

    /// Opens the log in `folder`, created if it is missing.
    ///
    /// Blocks. `floors` are marks of it that are known from the journal.
    init(
        _ folder: String,
        logs: LogStore,
        floors: [LogMark],
        isEncrypted: Bool
    ) throws {
        log = try logs.open(
            folder,
            readers: [StreamPipeline.Role.outcome.reader, Self.progressReader],
            floors: floors,
            isEncrypted: isEncrypted,
            // One batch may become more than any bound; between batches, `TransformStage` waits.
            isBounded: false
        )
    }

    /// How far the stream's own log was transformed, where its checkpoint may not say so yet.
    ///
    /// Blocks.
    func lastProgress() throws -> OutcomeRecord.Progress? {
        var last: OutcomeRecord.Progress?
        try log.read(from: log.checkpoint(of: Self.progressReader), to: log.tail) { chunk in
            guard case .records(let layout, _, _) = chunk else { return }
            RecordLayout.forEachRecord(in: layout) { record in
                guard record.first == OutcomeRecord.progress.rawValue else { return }
                let content = record.dropFirst(OutcomeRecord.tagBytes)
                last = OutcomeRecord.Progress(UnsafeRawBufferPointer(rebasing: content)) ?? last
            }
        }
        return last
    }

    /// Lets go of all frames as far as progress goes: the stream's own checkpoint has passed what
    /// they came from.
    ///
    /// Blocks.
    func forgetProgress() throws { try log.moveCheckpoint(of: Self.progressReader, to: log.tail) }

    /// Appends a frame durably.
    ///
    /// - Returns: The numbers of what was appended.
    func append(_ batch: RecordBatch, arrival: Timestamp) async throws -> Range<UInt64> {
        let result = await withCheckedContinuation { continuation in
            log.append(batch, arrival: arrival) { continuation.resume(returning: $0) }
        }
        let receipt = try result.get()
        let passed = log.checkpoint(of: StreamPipeline.Role.outcome.reader).records
        notes.withLock { notes in
            // A frame's first record is its progress.
            notes.append(receipt.firstRecord)
            let old = notes.prefix { $0 < passed }.count
            if old * 2 > notes.count { notes.removeFirst(old) }
        }
        return receipt.firstRecord..<receipt.firstRecord + UInt64(receipt.recordCount)
    }

    /// How many of these records are no outcomes, as far as that is known.
    func progressRecords(in numbers: Range<UInt64>) -> UInt64 {
        notes.withLock { notes in UInt64(notes.count { numbers.contains($0) }) }
    }

    /// All of a batch that ends at `source` is durable.
    func batchEnded(at source: LogMark) {
        let outcome = log.tail
        appended.withLock { $0.append((source, outcome)) }
    }

    /// The end of the last batch whose outcome is durable with that of all before it; nil where the
    /// checkpoint has passed them all.
    var lastBatchEnd: LogMark? { appended.withLock { $0.last?.source } }

    /// The stream's own checkpoint is durable at a mark.
    ///
    /// Blocks.
    func sourceMoved(to mark: LogMark) throws {
        let passed = appended.withLock { appended in
            let count = appended.prefix { $0.source.position <= mark.position }.count
            defer { appended.removeFirst(count) }
            return count > 0 ? appended[count - 1].outcome : nil
        }
        guard let passed,
            log.checkpoint(of: Self.progressReader).position < passed.position
        else { return }
        try log.moveCheckpoint(of: Self.progressReader, to: passed)
    }

    /// Bytes that wait for their delivery.
    var waitingBytes: UInt64 {
        let passed = log.checkpoint(of: StreamPipeline.Role.outcome.reader).bytes
        return max(log.tail.bytes, passed) - passed
    }
}
