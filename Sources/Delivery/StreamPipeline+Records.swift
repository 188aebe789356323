internal import Destinations
internal import Foundation
internal import Logging
internal import Platform
internal import Records
internal import Synchronization

/// One buffer's way to a destination that takes records one by one.
extension StreamPipeline {
    /// Brings a buffer to an end: each record is delivered, or in the bucket for failed ones.
    ///
    /// Returns early only when the task is cancelled.
    func deliverRecords(_ entry: JournalEntry, _ plan: RecordsPlan) async {
        do {
            var work = RecordsWork(
                entry,
                plan,
                lines: FailedLines(
                    shared.spooler,
                    entry.failureObjects,
                    name: "\(name)-\(role.rawValue)-\(entry.sequence)",
                    isEncrypted: log.isEncryptionInUse
                )
            )
            let fresh = work
            try await overTrouble {
                do {
                    try await deliverRecords(work.entry, plan, &work)
                } catch let trouble as Trouble where trouble.cause is PartWriter.Lost {
                    fresh.lines.discard()
                    work = fresh
                    throw trouble
                }
            }
            logger.info("delivered", metadata: work.facts)
            try await settle(work.entry)
        } catch {
            logger.debug("delivery interrupted", metadata: ["error": "\(error)"])
        }
    }

    private func deliverRecords(
        _ entry: JournalEntry,
        _ plan: RecordsPlan,
        _ work: inout RecordsWork
    ) async throws {
        if work.entry.failures == nil {
            try await sendAll(entry, plan, &work)
        } else if work.failures == nil {
            // They were kept before a restart.
            do {
                work.failures = try await trying("failed records cannot be read") { [self] in
                    try await shared.diskThreads.run { [self] _ in
                        try journal.failures(of: entry, shared.options.masterKeys)
                    }
                }
            } catch let trouble as Trouble where trouble.cause is KeptFailures.Damaged {
                logger.error(
                    "kept failed records are damaged: the buffer is sent again",
                    metadata: ["error": "\(trouble.cause)"]
                )
                work.entry.failures = nil
                work.counts = KeptFailures.Counts()
                try await sendAll(work.entry, plan, &work)
            }
        }
        if let setAside = work.failures?.setAside {
            try await keepAside(setAside)
            work.failures?.setAside = nil
        }
        for part in work.failures?.parts ?? [] {
            try await keep(part, hasGivenUp: work.hasGivenUp)
        }
    }

    /// Sends what is left of a buffer, and keeps what failed.
    private func sendAll(
        _ entry: JournalEntry,
        _ plan: RecordsPlan,
        _ work: inout RecordsWork
    ) async throws {
        let destination = try await trying("the destination cannot be used") {
            try recordDestination(plan.destination)
        }
        while work.place.position < entry.end.position {
            try await deliverChunk(entry, plan, destination, &work)
        }
        if work.failures == nil {
            work.failures = try await trying("failed records cannot be spooled") {
                [lines = work.lines] in
                try await shared.diskThreads.run { _ in try lines.finish() }
            }
        }
        guard let (parts, setAside) = work.failures, setAside != nil || !parts.isEmpty else {
            return
        }
        let (counts, hasGivenUp) = (work.counts, work.hasGivenUp)
        work.entry = try await trying("failed records cannot be kept") { [self] in
            try await shared.spoolThreads.run { [self] _ in
                try journal.keep(
                    parts,
                    setAside,
                    of: entry,
                    counts: counts,
                    hasGivenUp: hasGivenUp
                )
            }
        }
    }

    // MARK: Requests

    /// Sends one chunk until all its records are settled.
    private func deliverChunk(
        _ entry: JournalEntry,
        _ plan: RecordsPlan,
        _ destination: any RecordDestination,
        _ work: inout RecordsWork
    ) async throws {
        let rules = destination.retryRules
        if work.pending == nil {
            work.chunkAttempts = 0
            work.extraRequests = [:]
            work.delays = rules.delays ?? shared.options.retryDelays
            // Each request has the whole time, but one outage is not waited for more than once.
            let isResumed = entry.firstAttempt < startedAt && work.place == entry.start
            if !work.isWaitedOut, !isResumed { work.clockStart = nil }
        }
        while true {
            guard let pause = try await attempt(entry, plan, destination, &work) else { return }
            try await shared.options.time.sleep(until: shared.options.time.now() + pause)
        }
    }

    /// Makes one attempt with what is left of a chunk.
    ///
    /// - Returns: How long to wait before the next; nil where all is settled.
    private func attempt(
        _ entry: JournalEntry,
        _ plan: RecordsPlan,
        _ destination: any RecordDestination,
        _ work: inout RecordsWork
    ) async throws -> Duration? {
        switch try await request(entry, plan, destination, &work) {
        case .nothing:
            return nil
        case .answered(let answer, let chunk, let memory):
            defer { memory.giveBack() }
            return try await take(answer, chunk, destination, &work)
        case .unconfirmed(let confirmation, let extent):
            let sent = ContinuousClock.now
            let answer = try await confirmation()
            if answer.fates.allSatisfy({ $0 == .delivered }) {
                metrics.acknowledged(
                    PipelineMetrics.Place(work.kind),
                    after: sent.duration(to: .now)
                )
                destinationTook(some: true, after: answer.waited)
                metrics.requested(
                    PipelineMetrics.Place(work.kind),
                    records: work.sent.count,
                    bytes: work.sentBytes,
                    isSuccess: true
                )
                work.isWaitedOut = false
                let isEnd = extent.end.position >= entry.end.position
                try await noteProgress([], isJournalled: !isEnd, &work)
                end(extent, &work)
                return nil
            }
            let memory = try await memory(for: entry, destination, work)
            defer { memory.giveBack() }
            let chunk = try await read(entry, plan, destination, work)
            return try await take(answer, chunk, destination, &work)
        }
    }

    private func destinationTook(some isTaken: Bool, after waited: Duration) {
        let isSlow = waited >= .seconds(Limits.troubledRequestSeconds)
        isInTrouble.store(!isTaken && isSlow, ordering: .relaxed)
        if isTaken { outage.destinationAnswered(logger) }
    }

    /// Sorts out what needs no attempt.
    func begin(
        _ chunk: RecordsChunk,
        _ destination: any RecordDestination,
        _ work: inout RecordsWork
    ) async throws {
        try await report(chunk.damaged)
        let spooled = Mutex(0)
        let refusals = try await untilDone("failed records cannot be spooled") {
            [lines = work.lines] in
            try await shared.spoolThreads.run { _ in
                for (type, range) in chunk.failures[spooled.withLock(\.self)...] {
                    let line = UnsafeRawBufferPointer(rebasing: chunk.records.block.bytes[range])
                    try lines.add(line, type)
                    spooled.withLock { $0 += 1 }
                }
                return destination.refusals(of: chunk.records)
            }
        }
        let failed = refusals.sorted { $0.key < $1.key }.map { Failed($0.key, $0.value, 0) }
        try await fail(failed, chunk, destination, &work)
        let progress = work.entry.progress
        work.pending = chunk.records.items.indices.filter { place in
            refusals[place] == nil
                && progress?.isDelivered(chunk.records.items[place].number) != true
        }
    }

    func end(_ extent: RecordsChunk.Extent, _ work: inout RecordsWork) {
        work.counts.records += extent.records
        work.counts.bytes += extent.bytes
        work.place = extent.end
        work.pending = nil
    }

    /// Settles what an answer settles, and says how long to wait with the rest.
    private func take(
        _ answer: DeliveryAnswer,
        _ chunk: RecordsChunk,
        _ destination: any RecordDestination,
        _ work: inout RecordsWork
    ) async throws -> Duration? {
        if work.clockStart != nil { work.waited += answer.waited }
        let pending = work.pending ?? []
        var refused: [Failed] = []
        var failed: [Failed] = []
        for (index, place) in pending.enumerated() {
            let extra = work.extraRequests[place, default: 0] + answer.attempts[index] - 1
            let attempts = work.chunkAttempts + extra
            if extra > 0 { work.extraRequests[place] = extra }
            switch answer.fates[index] {
            case .delivered: break
            case .refused(let failure): refused.append((place, failure, attempts))
            case .failed(let failure): failed.append((place, failure, attempts))
            }
        }
        let isTaken = failed.count < pending.count
        destinationTook(some: isTaken, after: answer.waited)
        if isTaken, work.isWaitedOut {
            // It listens again: what it did not take has its whole time.
            work.isWaitedOut = false
            work.clockStart = shared.options.time.now()
            work.waited = .zero
        }
        let taken = zip(pending, answer.fates).filter { $0.1 == .delivered }.map(\.0)
        metrics.requested(
            PipelineMetrics.Place(work.kind),
            records: taken.count,
            bytes: taken.reduce(0) { $0 + UInt64(chunk.records.items[$1].range.count) },
            requests: max(1, answer.requests),
            split: answer.splitRequests,
            // A document refused for good is no failure of the request.
            isSuccess: failed.isEmpty
                && (DestinationType.of(work.kind).judgesRecords || refused.isEmpty)
        )
        try await fail(
            refused,
            chunk,
            destination,
            &work,
            setsAside: answer.setsAside
        )
        work.pending = failed.map(\.place)
        let isEnd = failed.isEmpty && chunk.extent.end.position >= work.entry.end.position
        let left = (refused + failed).map { chunk.records.items[$0.place].number }
        try await noteProgress(left, isJournalled: isTaken && !isEnd, &work)
        guard let first = failed.first?.failure else {
            end(chunk.extent, &work)
            return nil
        }
        let now = shared.options.time.now()
        if work.clockStart == nil {
            work.clockStart = now
            work.waited = .zero
        }
        var timeLeft = remainingTime(destination.retryRules, work, now)
        // It would not listen before the time is up.
        if let pause = answer.retryAfter, pause > timeLeft { timeLeft = .zero }
        if timeLeft <= .zero {
            outage.destinationFailed(logger)
            if !outage.isAway(work.entry.plan.bucket) {
                work.hasGivenUp = true
                work.isWaitedOut = !answer.isJudged
                try await fail(failed, chunk, destination, &work)
                end(chunk.extent, &work)
                return nil
            }
        }
        metrics.retries()
        logger.warning(
            "delivery failed, another try follows",
            metadata: [
                "destination": "\(work.kind.rawValue)", "error": "\(first)",
                "records": "\(failed.count)", "attempts": "\(work.chunkAttempts)",
            ]
        )
        var generator = SystemRandomNumberGenerator()
        let delay = work.delays?.next(using: &generator) ?? .seconds(1)
        let wanted = max(delay, answer.retryAfter ?? .zero)
        // The last attempt is at the end of the time, not before.
        return min(wanted, timeLeft > .zero ? timeLeft : .seconds(Limits.maximumPausedSeconds))
    }

    private func remainingTime(
        _ rules: RetryRules,
        _ work: RecordsWork,
        _ now: Timestamp
    ) -> Duration {
        guard let start = work.clockStart, rules.duration > .zero else { return .zero }
        let used = now - start - (rules.clock == .firstFailure ? work.waited : .zero)
        return retryTimeLeft(rules.duration, used: used, now: now)
    }

    // MARK: Failed records

    /// A record by its place in its chunk, why it failed, and how many requests carried it.
    typealias Failed = (place: Int, failure: DeliveryFailure, attempts: Int)

    private func fail(
        _ failures: [Failed],
        _ chunk: RecordsChunk,
        _ destination: any RecordDestination,
        _ work: inout RecordsWork,
        setsAside: Bool = false
    ) async throws {
        guard !failures.isEmpty else { return }
        let now = shared.options.time.now()
        let spooled = Mutex(0)
        try await untilDone("failed records cannot be spooled") { [lines = work.lines] in
            try await shared.spoolThreads.run { _ in
                for (place, failure, attempts) in failures[spooled.withLock(\.self)...] {
                    let line = chunk.failureLine(
                        place,
                        failure,
                        attempts: attempts,
                        destination,
                        now: now
                    )
                    if setsAside {
                        try lines.addAside(line, destination.errorOutputType)
                    } else {
                        try line.withUnsafeBytes { try lines.add($0, destination.errorOutputType) }
                    }
                    spooled.withLock { $0 += 1 }
                }
            }
        }
        work.counts.failed += failures.count
    }
}
