internal import Delivery
internal import Destinations
internal import Records
internal import TestSupport

/// Buffers whose records go one by one.
extension World {
    /// Records of one request.
    private static let partRecords: UInt64 = 3

    mutating func deliver(_ work: inout Work, _ p: Int) {
        guard case .records(var machine, var gathered) = work.kind,
            let entry = pipes[p].journal[work.sequence]
        else { return checks.expect(false, "a buffer is journalled before a record is sent") }
        switch machine.next {
        case .read(let place): machine.read(part(from: place, work, p), now: now)
        case .send(let places): send(places, &work, &machine, p, entry)
        case .look(let places): look(for: places, &work, &machine, p)
        case .note(let progress):
            note(.progress(progress), work, p)
            machine.done()
        case .gather(let records):
            gathered += records
            machine.done()
        case .wait(let wait):
            work.due = now + min(max(wait.least, .seconds(random.below(30))), wait.most)
            machine.done()
        case .keep(let summary):
            keep(gathered, summary, work, p, entry)
            machine.done()
        case .deliverFailures:
            gathered = []
            deliverFailures(work, &machine, p)
        case .settle:
            return processed(&work, p)
        }
        work.kind = .records(machine, gathered: gathered)
    }

    /// What was put, of which a record was made.
    private func origin(of number: RecordNumber, _ p: Int) -> UInt64 {
        let record = pipes[p].log.records.first { $0.number == number }
        if case .record(let origin) = record?.content { return origin }
        return number.value
    }

    /// The records of a part, by what was put.
    private func numbers(_ place: LogMark, _ work: Work, _ p: Int) -> [(RecordNumber, UInt64)] {
        let end = pipes[p].log.cut(from: place, bytes: Self.partRecords, limit: work.end)
        return pipes[p].log.slice(place, end).compactMap { record in
            if case .record(let origin) = record.content { (record.number, origin) } else { nil }
        }
    }

    private func part(
        from place: LogMark,
        _ work: Work,
        _ p: Int
    ) -> RecordDeliveryStateMachine.Part {
        let end = pipes[p].log.cut(from: place, bytes: Self.partRecords, limit: work.end)
        let records = numbers(place, work, p)
        var refusals: [Int: DeliveryFailure] = [:]
        for (index, record) in records.enumerated() where Outside.isMalformed(record.1) {
            refusals[index] = DeliveryFailure(code: "Malformed", message: "")
        }
        return RecordDeliveryStateMachine.Part(
            numbers: records.map(\.0),
            bytes: records.count,
            end: end,
            refusals: refusals,
            hasEarlierFailures: pipes[p].log.slice(place, end).contains {
                if case .processingFailed = $0.content { true } else { false }
            }
        )
    }

    private mutating func send(
        _ places: [Int],
        _ work: inout Work,
        _ machine: inout RecordDeliveryStateMachine,
        _ p: Int,
        _ entry: JournalEntry
    ) {
        let records = numbers(machine.place, work, p)
        let sent = places.map { records[$0] }
        checkSend(sent.map(\.0), work, p, entry)
        if machine.place.position == entry.start.position { checkTime(&work, entry) }
        let answered = outside.send(sent.map(\.1), &random)
        let lost = DeliveryFailure(code: "Simulated", message: "the answer is lost")
        var answer = DeliveryAnswer(fates: answered ?? sent.map { _ in .unknown(lost) })
        if random.chance(10) { answer.retryAfter = .seconds(random.below(900)) }
        let report = machine.answered(
            answer,
            requests: 1,
            now: now,
            isNowhere: !outside.isBucketUp
        )
        if report.isTaken { work.isTaken = true }
        for (record, fate) in zip(sent, answer.fates) {
            switch fate {
            case .delivered: work.unwritten.insert(record.0)
            case .refused: work.refused.insert(record.0)
            case .failed, .unknown: break
            }
        }
        if report.isTimeUp {
            checks.expect(
                report.isRetried == !outside.isBucketUp,
                "nothing is given up while there is no place for it"
            )
            let least = min(Duration.seconds(60), Work.rules(work.sequence).duration / 10)
            checks.expect(
                answer.retryAfter != nil || hasJumpedBack || now - serverStart >= least,
                "a server that was started tries for a while before it gives up"
            )
        }
    }

    private mutating func look(
        for places: [Int],
        _ work: inout Work,
        _ machine: inout RecordDeliveryStateMachine,
        _ p: Int
    ) {
        let records = numbers(machine.place, work, p)
        let asked = places.map { records[$0] }
        if let isThere = outside.look(for: asked.map(\.1), &random) {
            for place in machine.looked(isThere) { work.unwritten.insert(records[place].0) }
        } else if !machine.lookFailed(isFinal: random.chance(8), now: now) {
            outside.doubtful.formUnion(asked.map(\.1))
        }
    }

    private mutating func checkSend(
        _ numbers: [RecordNumber],
        _ work: Work,
        _ p: Int,
        _ entry: JournalEntry
    ) {
        checks.expect(!held.contains(name(work, p)), "a buffer that waits to be forgotten is done")
        let isDamaged = damaged.contains(name(work, p))
        if isDamaged || Work.rules(work.sequence).lookDuration == nil {
            outside.doubtful.formUnion(numbers.map { origin(of: $0, p) })
        }
        for number in numbers {
            checks.expect(
                entry.progress?.isDelivered(number) != true,
                "what is known to be delivered is not sent again"
            )
            checks.expect(
                !work.refused.contains(number) || isDamaged,
                "what is refused for good is not sent again"
            )
            checks.expect(
                isDamaged || !failedForGood.contains(number.value + (p == 1 ? 1_000_000 : 0)),
                "what is delivered as failed is not sent"
            )
        }
        checks.expect(
            work.unwritten.allSatisfy { entry.progress?.isDelivered($0) == true },
            "what was taken is written down before more is sent"
        )
        checks.expect(
            entry.isSettled != true && entry.kept == nil,
            "what is settled, or kept as failed, is not sent again"
        )
    }

    /// The first part has no longer than a buffer has, over restarts.
    private mutating func checkTime(_ work: inout Work, _ entry: JournalEntry) {
        guard !hasJumpedBack, !work.isTaken, entry.progress == nil, outside.isBucketUp,
            entry.firstAttempt < work.serverStart, !damaged.contains(name(work, 0)),
            !damaged.contains(name(work, 1))
        else { return }
        let least = work.serverStart + .seconds(60)
        let end = max(entry.firstAttempt + Work.rules(work.sequence).duration, least)
        // One attempt is at the end of the time, or behind it where nobody came to it before.
        checks.expect(!work.isLate, "a restart does not begin the time anew")
        if now >= end { work.isLate = true }
    }

    /// Whether numbers stand in the order of the parts that they are of.
    private func inParts(_ numbers: [RecordNumber], _ work: Work, _ p: Int) -> Bool {
        let records = pipes[p].log.slice(work.start, work.end)
        let places = numbers.map { number in records.firstIndex { $0.number == number } ?? 0 }
        let parts = places.map { ($0 - records.startIndex) / Int(Self.partRecords) }
        return zip(parts, parts.dropFirst()).allSatisfy { $0 <= $1 }
    }

    private mutating func keep(
        _ gathered: [FailedRecord],
        _ summary: FailureSummary,
        _ work: Work,
        _ p: Int,
        _ entry: JournalEntry
    ) {
        let numbers = gathered.map(\.number)
        checks.expect(Set(numbers).count == numbers.count, "failed records are kept once each")
        checks.expect(
            inParts(numbers, work, p),
            "failed records of a part are kept before those of the next"
        )
        checks.expect(
            work.unwritten.isDisjoint(with: numbers)
                && numbers.allSatisfy { entry.progress?.isDelivered($0) != true },
            "what was delivered has not failed"
        )
        checks.expect(
            work.unwritten.allSatisfy { entry.progress?.isDelivered($0) == true },
            "what was taken is written down before failed records are kept"
        )
        pipes[p].kept[work.sequence] = Pipe.Kept(records: gathered)
        note(
            .kept(KeptRecords(summary: summary, byteCount: 0, sha256: [], name: "")),
            work,
            p
        )
    }

    private mutating func deliverFailures(
        _ work: Work,
        _ machine: inout RecordDeliveryStateMachine,
        _ p: Int
    ) {
        guard let entry = pipes[p].journal[work.sequence], entry.kept != nil,
            let kept = pipes[p].kept[work.sequence]
        else {
            return checks.expect(false, "failed records are durable before they are delivered")
        }
        guard !kept.isDamaged else {
            damaged.insert(name(work, p))
            pipes[p].kept[work.sequence] = nil
            note(.keptAreDamaged, work, p)
            return machine.keptAreDamaged()
        }
        var content = kept.records.sorted { $0.number < $1.number }
            .map { "\($0.number) \($0.attempts) \($0.endedAt.milliseconds)" }
        var origins: [String] = []
        for record in pipes[p].log.slice(work.start, work.end) {
            switch record.content {
            case .processingFailed(let number): content.append("processing \(number)")
            case .record(let number):
                if kept.records.contains(where: { $0.number == record.number }) {
                    origins.append("failed \(number)")
                }
            case .progress: break
            }
        }
        let isStored = outside.put(
            entry.plan.key,
            content + origins,
            &random,
            &checks,
            mayChange: damaged.contains(name(work, p))
        )
        if outside.objects[entry.plan.key] != nil {
            for record in kept.records {
                failedForGood.insert(record.number.value + (p == 1 ? 1_000_000 : 0))
            }
        }
        if isStored { machine.done() }
    }
}
