internal import Delivery
internal import Destinations
internal import JSON
internal import Records
internal import TestSupport

/// One stream's delivery in a world that is made up: records are put, buffers are cut and go their ways,
/// what they talk to fails, and the server crashes between any two steps.
///
/// The machines are those of the server; what is around them is as simple as can be.
struct World {
    /// What becomes of records that are in no buffer yet.
    enum Route: CaseIterable {
        case objects
        case records
        case warehouse
    }

    var random: SeededGenerator
    var now = Timestamp(milliseconds: 1_700_000_000_000)
    var serverStart: Timestamp
    /// The stream's own log, and that of what was transformed.
    var pipes = [Pipe(isOutcome: false), Pipe(isOutcome: true)]
    var outside = Outside()
    var checks = Checks()
    var route: Route
    var isTransformed: Bool
    /// Whether nothing bad happens any more.
    var isHealed = false
    private var lastKey = 0
    /// Numbers of records in objects of failed ones that were stored.
    var failedForGood: Set<UInt64> = []
    /// Buffers whose kept records were damaged: theirs may be sent again.
    var damaged: Set<String> = []
    /// Buffers that were settled, and waited for an earlier one.
    var held: Set<String> = []
    /// Records that were given to a transform.
    var transformed: Set<UInt64> = []
    /// Whether the clock was set back.
    var hasJumpedBack = false

    private static let steps = 120
    private static let mostRecords = 12

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
        serverStart = now
        route = Route.allCases[random.below(3)]
        isTransformed = random.chance(3)
    }

    /// Lets the world go on for a while, then heals it, and says what was wrong.
    mutating func run() -> [String] {
        for _ in 0..<Self.steps {
            step()
            if !checks.failures.isEmpty { return checks.failures }
        }
        heal()
        return checks.failures
    }

    private mutating func step() {
        switch random.below(20) {
        case 0, 1: put()
        case 2: now = now + .seconds(random.below(120))
        case 3: toggle()
        case 4: if random.chance(3) { crash() }
        case 5: if random.chance(4) { reconfigure() }
        case 6: if random.chance(6) { jump() }
        case 7, 8, 9, 10: cut(random.below(2))
        default: work()
        }
    }

    private mutating func put() {
        guard pipes[0].log.records.count < Self.mostRecords else { return }
        for _ in 0...random.below(3) {
            let gap = UInt64(random.below(3))
            let number = (pipes[0].log.records.last?.number.value ?? 0) + 1 + gap
            pipes[0].log.append(.record(number), now, gap: gap)
        }
    }

    private mutating func toggle() {
        switch random.below(4) {
        case 0: outside.isBucketUp.toggle()
        case 1: outside.isDestinationUp.toggle()
        case 2: outside.isReadOnly = !outside.isReadOnly && random.chance(3)
        default: outside.isWarehouseUp.toggle()
        }
    }

    private mutating func jump() {
        let isBack = random.chance(3)
        now = now + .seconds(isBack ? -random.below(3000) : random.below(100_000))
        if isBack { hasJumpedBack = true }
    }

    private mutating func reconfigure() {
        route = Route.allCases[random.below(3)]
        isTransformed = random.chance(2)
    }

    // MARK: Crashes

    private mutating func crash() {
        for p in pipes.indices {
            for sequence in pipes[p].kept.keys.sorted() where random.chance(4) {
                pipes[p].kept[sequence]?.isDamaged = true
            }
        }
        serverStart = now
        catchUp()
        for p in [1, 0] { pipes[p].restart(serverStart, &checks) }
    }

    /// Moves the source's checkpoint to where the outcome log says that it was transformed to.
    private mutating func catchUp() {
        var last: OutcomeRecord.Progress?
        for record in pipes[1].log.records {
            guard case .progress(let next) = record.content else { continue }
            if last.map(next.follows) ?? true { last = next }
        }
        guard let last, last.end.position > pipes[0].checkpoint.position else { return }
        let mark =
            last.isComplete
            ? last.end
            : pipes[0].log.cut(from: last.start, bytes: last.records, limit: last.end)
        if mark.position > pipes[0].checkpoint.position { pipes[0].checkpoint = mark }
    }

    // MARK: Buffers

    /// One look of a pipeline.
    private mutating func cut(_ p: Int) {
        let isBatch = p == 0 && isTransformed
        pipes[p].machine.bounds = isBatch ? Pipe.batchBounds : Pipe.bounds
        switch pipes[p].machine.next(tail: pipes[p].log.tail, now: now) {
        case .findArrival(let mark):
            let arrival = pipes[p].log.records[Int(mark.records)].arrival
            pipes[p].machine.arrivalFound(arrival, since: p == 1 ? now : min(arrival, now))
        case .seal(let cut): seal(cut, p, isBatch)
        case .wait(let until, _): if isHealed { now = max(now, until) }
        case .waitForRecords, .waitForSettlement: break
        }
    }

    private mutating func seal(_ cut: BufferCut, _ p: Int, _ isBatch: Bool) {
        checks.expect(
            pipes[p].works.allSatisfy { $0.isBatch == isBatch || $0.isSettled },
            "what is transformed and what is not do not overtake each other"
        )
        if cut.joinsCheckpoint, pipes[p].checkpoint.position < cut.start.position {
            pipes[p].checkpoint = cut.start
        }
        let end = pipes[p].log.cut(from: cut.start, bytes: cut.bytes, limit: cut.limit)
        if isBatch {
            pipes[p].works.append(Work(batch: cut, end: end, serverStart))
        } else {
            // Keys of one millisecond sort by it.
            checks.expect(cut.sequence > pipes[p].lastSequence, "a sequence number is used once")
            pipes[p].lastSequence = cut.sequence
            let entry = entry(cut, end)
            pipes[p].journal[cut.sequence] = entry
            pipes[p].works.append(Work(entry, serverStart, isResumed: false))
        }
        pipes[p].machine.sealed(cut.sequence, end: end)
    }

    private mutating func entry(_ cut: BufferCut, _ end: LogMark) -> JournalEntry {
        lastKey += 1
        func plan(_ key: String) -> ObjectPlan {
            ObjectPlan(bucket: "b", key: key, uuid: key, arrival: cut.arrival)
        }
        let destination = DestinationConfiguration(kind: .httpEndpoint, members: [:])
        return JournalEntry(
            sequence: cut.sequence,
            start: cut.start,
            end: end,
            plan: plan("\(lastKey)"),
            records: route == .records ? RecordsPlan(destination: destination) : nil,
            copy: route == .warehouse
                ? CopyPlan(
                    destination,
                    manifest: plan("\(lastKey)-manifest"),
                    errorManifest: plan("\(lastKey)-error")
                ) : nil,
            firstAttempt: now
        )
    }

    // MARK: Work

    /// One step of some buffer.
    private mutating func work() {
        let p = pipes[1].works.isEmpty ? 0 : random.below(2)
        guard !pipes[p].works.isEmpty else { return }
        let index = random.below(pipes[p].works.count)
        var work = pipes[p].works[index]
        guard work.due <= now || isHealed else { return }
        now = max(now, isHealed ? work.due : now)
        advance(&work, p, isFirst: index == 0)
        if case .over = work.stage {
            pipes[p].works.remove(at: index)
        } else {
            pipes[p].works[index] = work
        }
    }

    // MARK: The end

    /// Nothing bad happens any more, and all comes to its end.
    private mutating func heal() {
        isHealed = true
        outside.isBucketUp = true
        outside.isDestinationUp = true
        outside.isWarehouseUp = true
        outside.isReadOnly = false
        for _ in 0..<4000 where checks.failures.isEmpty {
            if pipes.allSatisfy(\.isDone) { break }
            cut(random.below(2))
            work()
            now = now + .seconds(1)
        }
        guard checks.failures.isEmpty else { return }
        checks.expect(pipes.allSatisfy(\.isDone), "all comes to an end")
        checkFates()
    }
}
