package import Delivery
package import Records
internal import Synchronization

/// A stream's transformed records on disk, and how far they go.
package final class OutcomeLog: Sendable {
    /// Holds frames until the stream's own checkpoint is known to have passed what they came from.
    private static let progressReader = "progress"

    /// What it is kept in.
    package let log: any RecordLog
    /// Ends of batches whose outcome is durable, each with the log's end behind it.
    private let appended = Mutex<[(source: LogMark, outcome: LogMark)]>([])
    /// How many records lie before each progress record that is not delivered yet, of this run of the
    /// server.
    private let notes = Mutex<[UInt64]>([])
    /// The place behind the last batch in the row.
    private let lastTurn = Mutex<Turn?>(nil)

    /// Opens the log of that name, created if it is missing.
    ///
    /// Blocks. `floors` are marks of it that are known from the journal.
    package init(
        _ name: String,
        logs: any RecordLogs,
        floors: [LogMark],
        isEncrypted: Bool
    ) throws {
        log = try logs.open(
            name,
            for: LogUse(
                readers: [PipelineRole.outcome.reader, Self.progressReader],
                floors: floors,
                isEncrypted: isEncrypted,
                // One batch may become more than any bound; between batches, `TransformStage` waits.
                isIntake: false,
                deliverer: PipelineRole.outcome.reader
            )
        )
    }

    /// How far the stream's own log was transformed, where its checkpoint may not say so yet.
    ///
    /// Blocks.
    package func lastProgress() throws -> OutcomeRecord.Progress? {
        var last: OutcomeRecord.Progress?
        try log.read(from: log.checkpoint(of: Self.progressReader), to: log.tail) { chunk in
            guard case .records(let records) = chunk else { return }
            RecordLayout.forEachRecord(in: records.layout) { record in
                guard record.first == OutcomeRecord.progress.rawValue else { return }
                let content = record.dropFirst(OutcomeRecord.tagBytes)
                let next = OutcomeRecord.Progress(UnsafeRawBufferPointer(rebasing: content))
                // Of two frames with the outcome of the same records, the first counts.
                if let next, last.map(next.follows) ?? true { last = next }
            }
        }
        return last
    }

    /// Lets go of all frames as far as progress goes: the stream's own checkpoint has passed what
    /// they came from.
    ///
    /// Blocks.
    package func forgetProgress() throws {
        try log.moveCheckpoint(of: Self.progressReader, to: log.tail)
    }

    /// The place of a batch in the row of those that append.
    func nextTurn() -> Turn {
        lastTurn.withLock { last in
            let turn = Turn(after: last)
            last = turn
            return turn
        }
    }

    /// Appends a frame durably; called by the batch whose turn it is.
    ///
    /// - Returns: What was appended, by how many records lie before.
    func append(_ batch: RecordBatch, arrival: Timestamp) async throws -> Range<UInt64> {
        let result = await withCheckedContinuation { continuation in
            log.append(batch, arrival: arrival) { continuation.resume(returning: $0) }
        }
        _ = try result.get()
        let end = log.tail.records
        let first = end - UInt64(batch.recordCount)
        let passed = log.checkpoint(of: PipelineRole.outcome.reader).records
        notes.withLock { notes in
            // A frame's first record is its progress.
            notes.append(first)
            let old = notes.prefix { $0 < passed }.count
            if old * 2 > notes.count { notes.removeFirst(old) }
        }
        return first..<end
    }

    /// How many of the records between two marks are no outcomes, as far as that is known.
    package func progressRecords(from start: LogMark, to end: LogMark) -> UInt64 {
        notes.withLock { notes in
            UInt64(notes.count { $0 >= start.records && $0 < end.records })
        }
    }

    /// All of a batch that ends at `source` is durable.
    func batchEnded(at source: LogMark) {
        let outcome = log.tail
        appended.withLock { $0.append((source, outcome)) }
    }

    /// The end of the last batch whose outcome is durable with that of all before it; nil where the
    /// checkpoint has passed them all.
    package var lastBatchEnd: LogMark? { appended.withLock { $0.last?.source } }

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

    /// Whether all that is in it is delivered.
    var isDelivered: Bool {
        log.checkpoint(of: PipelineRole.outcome.reader).position >= log.tail.position
    }

    /// Bytes that wait for their delivery.
    var waitingBytes: UInt64 {
        let passed = log.checkpoint(of: PipelineRole.outcome.reader).bytes
        return max(log.tail.bytes, passed) - passed
    }
}
