internal import Records
internal import Synchronization

/// The last records of a stream that somebody watches; nothing while nobody does.
final class StreamTap: Sendable {
    private struct Put {
        var first: UInt64
        var batch: RecordBatch
        /// Those of the batch that were taken.
        var count: Int
        var arrival: Timestamp
    }
    private struct State {
        var puts: [Put] = []
        var bytes = 0
        var lastAsked: ContinuousClock.Instant?
    }

    private let isWatched = Atomic(false)
    private let state = Mutex(State())

    /// Bytes that are remembered: what a few full batches hold.
    private static let maximumBytes = 8 << 20
    /// Batches that are remembered.
    private static let maximumPuts = 10_000
    /// Who does not ask for so long is gone.
    private static let patience: Duration = .seconds(30)
    /// What a record takes in an answer beside its data.
    private static let answerBytesOfRecord = 128
    /// Bytes of records in one answer, which may be one record more.
    private static let maximumAnswerBytes = 1 << 20

    /// A batch is durable.
    func offer(_ batch: RecordBatch, _ receipt: AppendReceipt, now: () -> Timestamp) {
        guard isWatched.load(ordering: .relaxed) else { return }
        let put = Put(
            first: receipt.firstRecord,
            batch: batch,
            count: receipt.recordCount,
            arrival: now()
        )
        state.withLock { state in
            guard let asked = state.lastAsked, asked.duration(to: .now) < Self.patience else {
                state = State()
                isWatched.store(false, ordering: .relaxed)
                return
            }
            state.puts.append(put)
            state.bytes += batch.payloadBytes
            var dropped = 0
            while state.bytes > Self.maximumBytes || state.puts.count - dropped > Self.maximumPuts {
                state.bytes -= state.puts[dropped].batch.payloadBytes
                dropped += 1
            }
            state.puts.removeFirst(dropped)
        }
    }

    /// The records of a log from number `start` on, and how many are forgotten before them; the
    /// log's end is at `tail`.
    func records(
        from start: UInt64,
        tail: UInt64,
        logIdentity: UInt64
    ) -> (records: [TailedRecords.Record], skipped: UInt64, next: UInt64) {
        isWatched.store(true, ordering: .relaxed)
        return state.withLock { state in
            let isNew = state.lastAsked.map { $0.duration(to: .now) >= Self.patience } ?? true
            if isNew { state = State() }
            state.lastAsked = .now
            var records: [TailedRecords.Record] = []
            // Before anybody watched, nothing was remembered.
            var next = isNew ? tail : start
            var skipped = next - start
            var bytes = 0
            for put in state.puts where put.first + UInt64(put.count) > next {
                skipped += max(put.first, next) - next
                next = max(put.first, next)
                var number = put.first
                RecordLayout.forEachRecord(in: put.batch.payload) { data in
                    defer { number += 1 }
                    guard number >= next, number < put.first + UInt64(put.count),
                        bytes < Self.maximumAnswerBytes
                    else { return }
                    bytes += data.count + Self.answerBytesOfRecord
                    records.append(
                        TailedRecords.Record(
                            id: RecordID(logIdentity: logIdentity, number: number),
                            arrival: put.arrival,
                            data: Array(data)
                        )
                    )
                    next = number + 1
                }
                if bytes >= Self.maximumAnswerBytes { break }
            }
            return (records, skipped, next)
        }
    }
}
