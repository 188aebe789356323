internal import Delivery
internal import Destinations
internal import Records

/// One simulated way out of a stream: what of it survives a crash, and what does not.
struct Pipe {
    /// What a buffer's failed records are kept as.
    struct Kept {
        var records: [FailedRecord]
        var isDamaged = false
    }

    let isOutcome: Bool

    // What survives a crash.
    var log = SimulatedLog()
    var checkpoint: LogMark
    var journal: [UInt64: JournalEntry] = [:]
    var kept: [UInt64: Kept] = [:]

    // What does not.
    var machine: BufferStateMachine
    var works: [Work] = []
    /// The furthest mark that all before is settled.
    var settled: LogMark
    var lastSequence: UInt64 = 0

    static let bounds = BufferBounds(bytes: 4, intervalSeconds: 60, maximumInFlight: 3)
    static let batchBounds = BufferBounds(
        bytes: 4,
        intervalSeconds: 0,
        maximumInFlight: 2,
        isJournalled: false
    )

    init(isOutcome: Bool) {
        self.isOutcome = isOutcome
        checkpoint = .start
        settled = .start
        machine = BufferStateMachine(
            bounds: Self.bounds,
            checkpoint: .start,
            resumed: [],
            nextSequence: 1
        )
    }

    /// Whether nothing is left to do.
    var isDone: Bool {
        works.isEmpty && journal.isEmpty && settled.position == log.tail.position
    }

    /// Goes on as a server does that is started.
    mutating func restart(_ serverStart: Timestamp, _ marks: inout Checks) {
        let entries = journal.values.sorted { $0.sequence < $1.sequence }
        var open: [JournalEntry] = []
        var place = checkpoint
        for entry in entries {
            if entry.end.position <= checkpoint.position {
                journal[entry.sequence] = nil
                kept[entry.sequence] = nil
                continue
            }
            marks.expect(entry.start.position == place.position, "an entry joins what is before it")
            place = entry.end
            open.append(entry)
        }
        machine = BufferStateMachine(
            bounds: Self.bounds,
            checkpoint: checkpoint,
            resumed: open.map { BufferStateMachine.InFlight($0) },
            nextSequence: max(open.last?.sequence ?? 0, checkpoint.records) + 1
        )
        settled = checkpoint
        works = open.map { Work($0, serverStart, isResumed: true) }
    }
}

/// A buffer on its simulated way.
struct Work {
    /// How far it has come to its end.
    enum Stage {
        case process
        case heldUp
        case settle
        case moveCheckpoint(BufferStateMachine.Progress)
        case forget([UInt64])
        case over
    }

    enum Kind {
        /// What is stored of it already: the object, then that of failed records, then a manifest.
        case objects(stored: Int)
        case records(RecordDeliveryStateMachine, gathered: [FailedRecord])
        case warehouse(WarehouseLoadStateMachine)
        case batch(BatchState)
        case settled
    }

    /// A batch on its way through a transform.
    struct BatchState {
        /// How many of its records are in the outcome log.
        var covered = 0
        /// What the last frame that was appended covers.
        var written: UInt64 = 0
    }

    let sequence: UInt64
    let start: LogMark
    let end: LogMark
    let serverStart: Timestamp
    var kind: Kind
    var stage = Stage.process
    /// Not before.
    var due = Timestamp(milliseconds: 0)
    /// Records that the destination took, which the journal does not know yet.
    var unwritten: Set<RecordNumber> = []
    /// Records that it refused for good.
    var refused: Set<RecordNumber> = []
    /// Whether an attempt was made that had to be the last.
    var isLate = false
    /// Whether it took or refused anything since the start.
    var isTaken = false

    /// Every other buffer's destination can be asked what it holds.
    static func rules(_ sequence: UInt64) -> RetryRules {
        RetryRules(
            duration: .seconds(600),
            clock: .firstAttempt,
            lookDuration: sequence % 2 == 0 ? .seconds(100) : nil
        )
    }

    init(_ entry: JournalEntry, _ serverStart: Timestamp, isResumed: Bool) {
        sequence = entry.sequence
        start = entry.start
        end = entry.end
        self.serverStart = serverStart
        if entry.isSettled == true {
            kind = .settled
        } else if entry.records != nil {
            let rules = Self.rules(entry.sequence)
            let machine = RecordDeliveryStateMachine(
                RecordDeliveryStateMachine.Buffer(entry, isResumed: isResumed),
                rules: rules,
                allowance: RetryAllowance(rules.duration, serverStart: serverStart)
            )
            kind = .records(machine, gathered: [])
        } else if let load = entry.load {
            kind = .warehouse(
                WarehouseLoadStateMachine(load, serverStart: serverStart, isActive: true)
            )
        } else {
            kind = .objects(stored: 0)
        }
    }

    init(batch cut: BufferCut, end: LogMark, _ serverStart: Timestamp) {
        sequence = cut.sequence
        start = cut.start
        self.end = end
        self.serverStart = serverStart
        kind = .batch(BatchState())
    }

    /// Whether only the checkpoint is left to be moved.
    var isSettled: Bool {
        switch stage {
        case .process, .heldUp, .settle: false
        case .moveCheckpoint, .forget, .over: true
        }
    }

    var isBatch: Bool {
        if case .batch = kind { true } else { false }
    }
}
