internal import Records
internal import Synchronization
internal import TestSupport

/// What is left of a log in memory while nobody has it open.
final class MemoryLogContent: Sendable {
    /// Records that are stored together.
    struct Frame: Sendable {
        var start: LogMark
        var first: RecordNumber
        var batch: RecordBatch
        var arrival: Timestamp
        var generation: UInt64

        var offset: UInt64 { start.position.offset }
        /// The mark behind it, which is no frame's place.
        var end: LogMark {
            LogMark(
                position: LogPosition(offset: offset + 1),
                records: start.records + UInt64(batch.recordCount),
                bytes: start.bytes + UInt64(batch.dataBytes)
            )
        }
    }

    /// What a reader waits for.
    private struct Wake {
        var records: UInt64
        var bytes: UInt64
        var action: @Sendable () -> Void

        func isDue(at mark: LogMark) -> Bool { mark.records >= records || mark.bytes >= bytes }
    }

    private struct State {
        var generator: SeededGenerator
        var frames: [Frame] = []
        var tail = LogMark.start
        var next: RecordNumber = 0
        /// Everything before it is let go of.
        var beginning = LogMark.start
        /// Of all readers that there ever were.
        var checkpoints: [String: LogMark] = [:]
        /// Those that hold records back.
        var readers: Set<String> = []
        /// Another one whenever the log is opened.
        var generation: UInt64 = 0
        var wakes: [String: Wake] = [:]

        var slowest: LogMark? {
            readers.compactMap { checkpoints[$0] }.min { $0.position < $1.position }
        }

        mutating func release() {
            guard let slowest else { return }
            frames.removeAll { $0.end.position <= slowest.position }
            if beginning.position < slowest.position { beginning = slowest }
        }

        /// Stores records behind gaps.
        mutating func add(_ records: [[UInt8]], _ arrival: Timestamp) -> AppendReceipt.Run {
            let batch = RecordBatch(records)
            var start = tail
            start.position = LogPosition(offset: tail.position.offset + generator.next() % 1000)
            let first = next + Int(generator.next() % (1 << 20))
            let frame = Frame(
                start: start,
                first: first,
                batch: batch,
                arrival: arrival,
                generation: generation
            )
            frames.append(frame)
            tail = frame.end
            next = first + records.count
            return AppendReceipt.Run(first: first, count: records.count)
        }
    }

    /// Random, and never changed.
    let identity: UInt64
    private let state: Mutex<State>

    init(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        identity = generator.next()
        var state = State(generator: generator)
        // Nor does a log begin at nothing.
        state.tail.position.offset = 1 + generator.next() % 1000
        state.beginning = state.tail
        self.state = Mutex(state)
    }

    // MARK: Readers

    /// Somebody opens the log.
    func begin(_ use: LogUse) {
        state.withLock { state in
            state.generation = state.generator.next()
            precondition(use.floors.allSatisfy { $0.position <= state.tail.position })
            for name in use.readers where state.checkpoints[name] == nil {
                state.checkpoints[name] = state.beginning
            }
            state.readers = Set(use.readers)
            state.wakes = [:]
            state.release()
        }
    }

    func checkpoint(of reader: String) -> LogMark? {
        state.withLock { $0.readers.contains(reader) ? $0.checkpoints[reader] : nil }
    }

    func moveCheckpoint(of reader: String, to mark: LogMark) {
        state.withLock { state in
            guard state.readers.contains(reader), let old = state.checkpoints[reader] else {
                preconditionFailure("the log was opened without a reader \(reader)")
            }
            precondition(mark.position >= old.position, "checkpoints never go back")
            state.checkpoints[reader] = mark
            state.release()
        }
    }

    func addReader(_ name: String, at mark: LogMark) {
        state.withLock { state in
            guard !state.readers.contains(name) else { return }
            let slowest = state.slowest ?? mark
            state.checkpoints[name] = slowest.position > mark.position ? slowest : mark
            state.readers.insert(name)
        }
    }

    func removeReader(_ name: String) {
        state.withLock { state in
            state.readers.remove(name)
            state.release()
        }
    }

    // MARK: Records

    var tail: LogMark { state.withLock { $0.tail } }

    var nextRecord: RecordNumber { state.withLock { $0.next } }

    /// Frames that are not let go of, and where the first of them begins.
    var frames: (all: [Frame], beginning: LogMark) {
        state.withLock { ($0.frames, $0.beginning) }
    }

    var backlogBytes: UInt64 {
        state.withLock { state in
            let passed = state.slowest ?? state.beginning
            return state.frames.reduce(0) { sum, frame in
                frame.end.position > passed.position ? sum + UInt64(frame.batch.payloadBytes) : sum
            }
        }
    }

    /// Stores a batch, now and then in two parts.
    func append(_ batch: RecordBatch, _ arrival: Timestamp) -> AppendReceipt {
        let (runs, due) = state.withLock { state in
            let records = batch.records
            var parts = [records]
            if records.count > 1, state.generator.next() % 2 == 0 {
                let middle = 1 + Int(state.generator.next() % UInt64(records.count - 1))
                parts = [Array(records[..<middle]), Array(records[middle...])]
            }
            let runs = parts.map { state.add($0, arrival) }
            let due = state.wakes.filter { $0.value.isDue(at: state.tail) }
            for name in due.keys { state.wakes[name] = nil }
            return (runs, Array(due.values))
        }
        for wake in due { wake.action() }
        return AppendReceipt(generation: state.withLock(\.generation), runs: runs)
    }

    func wake(
        _ reader: String,
        atRecords records: UInt64,
        orBytes bytes: UInt64,
        _ action: @escaping @Sendable () -> Void
    ) {
        let wake = Wake(records: records, bytes: bytes, action: action)
        let isReached = state.withLock { state in
            let isReached = wake.isDue(at: state.tail)
            state.wakes[reader] = isReached ? nil : wake
            return isReached
        }
        if isReached { action() }
    }
}
