internal import Delivery
internal import Destinations
internal import Records
internal import TestSupport

/// What buffers do, step by step: a crash may come behind each.
extension World {
    mutating func advance(_ work: inout Work, _ p: Int, isFirst: Bool) {
        switch work.stage {
        case .process: process(&work, p, isFirst: isFirst)
        case .heldUp:
            if !work.isBatch { note(.settled, work, p) }
            work.stage = .settle
        case .settle: settle(&work, p)
        case .moveCheckpoint(let progress): moveCheckpoint(progress, &work, p)
        case .forget(let finished):
            for sequence in finished {
                pipes[p].journal[sequence] = nil
                pipes[p].kept[sequence] = nil
            }
            work.stage = .over
        case .over: break
        }
    }

    private mutating func process(_ work: inout Work, _ p: Int, isFirst: Bool) {
        switch work.kind {
        case .settled: processed(&work, p)
        case .objects(let stored): store(&work, p, stored)
        case .records: deliver(&work, p)
        case .warehouse: load(&work, p)
        // The batches behind it wait for their turn.
        case .batch(let state): if isFirst { transform(&work, p, state) }
        }
    }

    mutating func note(_ note: JournalNote, _ work: Work, _ p: Int) {
        pipes[p].journal[work.sequence]?.merge(note)
    }

    /// Each record of a buffer is where it belongs.
    mutating func processed(_ work: inout Work, _ p: Int) {
        work.stage = pipes[p].machine.isFirst(work.sequence) ? .settle : .heldUp
    }

    private mutating func settle(_ work: inout Work, _ p: Int) {
        guard let progress = pipes[p].machine.settled(work.sequence) else {
            held.insert(name(work, p))
            work.stage = .over
            return
        }
        pipes[p].settled = progress.checkpoint
        work.stage = .moveCheckpoint(progress)
    }

    private mutating func moveCheckpoint(
        _ progress: BufferStateMachine.Progress,
        _ work: inout Work,
        _ p: Int
    ) {
        // What was transformed is found by the outcome log: its checkpoint may come late, or never.
        if work.isBatch, random.chance(2) {
            work.stage = .over
            return
        }
        if pipes[p].checkpoint.position < progress.checkpoint.position {
            pipes[p].checkpoint = progress.checkpoint
        }
        work.stage = .forget(progress.finished)
    }

    func name(_ work: Work, _ p: Int) -> String { "\(p)-\(work.sequence)" }

    // MARK: Objects

    /// The objects of a buffer, by their keys' ends: its own, and that of what failed before.
    private func objects(_ work: Work, _ p: Int) -> [(suffix: String, content: [String])] {
        var own: [String] = []
        var failed: [String] = []
        for record in pipes[p].log.slice(work.start, work.end) {
            switch record.content {
            case .record(let number): own.append("\(number)")
            case .processingFailed(let number): failed.append("failed \(number)")
            case .progress: break
            }
        }
        return [("", own), ("-processing", failed)].filter { !$0.1.isEmpty }
    }

    private mutating func store(_ work: inout Work, _ p: Int, _ stored: Int) {
        guard let entry = pipes[p].journal[work.sequence] else {
            return checks.expect(false, "a buffer is journalled before anything is stored")
        }
        checks.expect(!held.contains(name(work, p)), "a buffer that waits to be forgotten is done")
        let objects = objects(work, p)
        if stored < objects.count {
            let key = entry.plan.key + objects[stored].suffix
            guard put(key, objects[stored].content, &work, entry) else { return }
            work.kind = .objects(stored: stored + 1)
        } else if let copy = entry.copy, !objects.isEmpty, objects[0].suffix.isEmpty,
            outside.objects[entry.plan.key] != nil
        {
            guard put(copy.manifest.key, ["object \(entry.plan.key)"], &work, entry) else { return }
            guard outside.objects[copy.manifest.key] != nil else { return processed(&work, p) }
            let state = LoadState(records: 1, bytes: 1, objectBytes: 1)
            note(.load(state), work, p)
            work.kind = .warehouse(
                WarehouseLoadStateMachine(state, serverStart: serverStart, isActive: true)
            )
        } else {
            processed(&work, p)
        }
    }

    /// Stores an object, or sets it aside when its time is up; false if it is retried.
    private mutating func put(
        _ key: String,
        _ content: [String],
        _ work: inout Work,
        _ entry: JournalEntry
    ) -> Bool {
        if outside.setAside[key] == nil, outside.put(key, content, &random, &checks) { return true }
        let allowance = RetryAllowance(.seconds(86400), serverStart: work.serverStart)
        guard allowance.left(used: now - entry.firstAttempt, now: now) <= .zero else {
            work.due = now + .seconds(random.below(30))
            return false
        }
        outside.keepAside(key, content)
        return true
    }

    // MARK: Warehouse

    private mutating func load(_ work: inout Work, _ p: Int) {
        guard case .warehouse(var machine) = work.kind,
            let entry = pipes[p].journal[work.sequence], let copy = entry.copy
        else { return checks.expect(false, "a load is journalled") }
        switch machine.next {
        case .begin: machine.began(now: now, duration: .seconds(3600))
        case .note(let state):
            note(.load(state), work, p)
            machine.done()
        case .run(let number):
            checks.expect(
                entry.load?.number == number && entry.load?.isOpen == true,
                "an attempt's number is durable before it runs"
            )
            checks.expect(
                outside.objects[copy.errorManifest.key] == nil,
                "what is left for a back-fill is not loaded"
            )
            let token = "\(copy.manifest.uuid)-\(number)"
            let outcome = outside.copy(copy.manifest.key, token: token, &random, &checks)
            _ = machine.ended(outcome, now: now)
        case .wait(let wait):
            work.due = now + min(wait.most, .seconds(random.below(300)))
            machine.done()
        case .leaveManifest:
            let isStored = outside.put(
                copy.errorManifest.key,
                ["object \(entry.plan.key)"],
                &random,
                &checks
            )
            if isStored { machine.done() }
        case .settle: return processed(&work, p)
        }
        work.kind = .warehouse(machine)
    }

    // MARK: Transforms

    /// Appends a frame with what some records became.
    private mutating func transform(_ work: inout Work, _ p: Int, _ state: Work.BatchState) {
        var state = state
        let records = Array(pipes[p].log.slice(work.start, work.end))
        guard state.covered < records.count else { return processed(&work, p) }
        let end = min(records.count, state.covered + 1 + random.below(3))
        var contents: [SimulatedLog.Content] = []
        for record in records[state.covered..<end] {
            guard case .record(let number) = record.content else { continue }
            transformed.insert(number)
            if Outside.isDropped(number) { continue }
            contents.append(
                Outside.failsProcessing(number) ? .processingFailed(number) : .record(number)
            )
        }
        if !contents.isEmpty {
            let progress = OutcomeRecord.Progress(
                start: work.start,
                end: work.end,
                from: state.written,
                records: UInt64(end),
                isComplete: end == records.count
            )
            // A frame is durable as a whole.
            for content in [.progress(progress)] + contents {
                pipes[1].log.append(content, now, gap: UInt64(random.below(2)))
            }
            state.written = UInt64(end)
        }
        state.covered = end
        work.kind = .batch(state)
    }
}
