internal import Records
internal import Synchronization

/// What all taps of a server may remember.
final class TapMemory: Sendable {
    /// Bytes of all taps together.
    private static let maximumBytes = 64 << 20
    private let used = Atomic(0)

    func add(_ bytes: Int) { used.add(bytes, ordering: .relaxed) }

    /// What they remember now.
    var bytes: Int { used.load(ordering: .relaxed) }

    var isExhausted: Bool { bytes > Self.maximumBytes }
}

/// The last records of a stream that somebody watches; nothing while nobody does.
final class StreamTap: Sendable {
    private struct Put {
        var batch: RecordBatch
        /// Which of the batch were taken, and their numbers.
        var receipt: AppendReceipt
        var arrival: Timestamp

        func forEachRecord(_ body: (RecordNumber, UnsafeRawBufferPointer) -> Void) {
            var index = 0
            let count = receipt.recordCount
            RecordLayout.forEachRecord(in: batch.payload) { data in
                guard index < count else { return }
                body(receipt.number(ofRecord: index), data)
                index += 1
            }
        }
    }
    private struct State {
        var puts: [Put] = []
        /// The first that is remembered; those before it are gone.
        var head = 0
        /// Every record from that number on is remembered.
        var start: RecordNumber = 0
        var bytes = 0
        var lastAsked: ContinuousClock.Instant?

        func isWatched(at now: ContinuousClock.Instant) -> Bool {
            lastAsked.map { $0.duration(to: now) < StreamTap.patience } ?? false
        }

        mutating func dropFirst() {
            bytes -= StreamTap.bytes(of: puts[head].batch)
            start = max(start, puts[head].receipt.end)
            head += 1
            guard head * 2 > puts.count else { return }
            puts.removeFirst(head)
            head = 0
        }
    }

    private let isWatched = Atomic(false)
    private let state = Mutex(State())
    private let memory: TapMemory
    private let time: any TimeSource

    /// Bytes that are remembered: what a few full batches hold.
    private static let maximumBytes = 8 << 20
    /// Batches that are remembered.
    private static let maximumPuts = 10_000
    /// Who does not ask for so long is gone.
    static let patience: Duration = .seconds(30)
    /// How often that is looked at.
    static let checkInterval: Duration = .seconds(10)
    /// What a record takes in an answer beside its data.
    private static let answerBytesOfRecord = 128
    /// Bytes of records in one answer, which may be one record more.
    private static let maximumAnswerBytes = 1 << 20

    init(_ memory: TapMemory, _ time: any TimeSource) {
        self.memory = memory
        self.time = time
    }

    deinit { memory.add(-state.withLock { $0.bytes }) }

    private static func bytes(of batch: RecordBatch) -> Int { batch.payloadBytes + 128 }

    /// A batch is durable.
    func offer(_ batch: RecordBatch, _ receipt: AppendReceipt, now: () -> Timestamp) {
        guard isWatched.load(ordering: .relaxed) else { return }
        let put = Put(batch: batch, receipt: receipt, arrival: now())
        state.withLock { state in
            guard isWatched.load(ordering: .relaxed) else { return }
            let before = state.bytes
            state.puts.append(put)
            state.bytes += Self.bytes(of: batch)
            memory.add(state.bytes - before)
            while state.head < state.puts.count,
                state.bytes > Self.maximumBytes
                    || state.puts.count - state.head > Self.maximumPuts || memory.isExhausted
            {
                let before = state.bytes
                state.dropFirst()
                memory.add(state.bytes - before)
            }
        }
    }

    /// Forgets all, once nobody asks any more.
    private func watch() {
        Task { [weak self, time] in
            while (try? await time.sleep(for: Self.checkInterval)) != nil {
                guard let self, !self.endIfIdle() else { return }
            }
        }
    }

    private func endIfIdle() -> Bool {
        let now = time.instant()
        return state.withLock { state in
            guard !state.isWatched(at: now) else { return false }
            memory.add(-state.bytes)
            state = State()
            isWatched.store(false, ordering: .relaxed)
            return true
        }
    }

    /// The records of a log from number `start` on, by default from those to come, and how many are
    /// forgotten before them; `end` gives the number behind what is durable.
    ///
    /// In a log whose numbers have gaps, no more than so many are forgotten.
    func records(
        from start: RecordNumber?,
        end: () -> RecordNumber
    ) -> (records: [TailedRecords.Record], skipped: UInt64, next: RecordNumber) {
        let now = time.instant()
        return state.withLock { state in
            let isNew = !isWatched.load(ordering: .relaxed)
            if isNew {
                isWatched.store(true, ordering: .relaxed)
                watch()
            }
            // A batch that was not offered since is durable by now: `end` is behind it.
            let end = end()
            if isNew { state.start = end }
            state.lastAsked = now
            let start = min(start ?? end, end)
            var next = max(start, state.start)
            let skipped = next.value - start.value
            var records: [TailedRecords.Record] = []
            var bytes = 0
            for put in state.puts[state.head...] {
                guard put.receipt.end > next else { continue }
                put.forEachRecord { number, data in
                    guard number >= next, bytes < Self.maximumAnswerBytes else { return }
                    bytes += data.count + Self.answerBytesOfRecord
                    records.append(
                        TailedRecords.Record(
                            id: RecordID(
                                generation: put.receipt.generation,
                                number: number
                            ),
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
