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
                    isSealed: log.isSealingInUse
                )
            )
            try await overTrouble { try await deliverRecords(entry, plan, &work) }
            logger.info("delivered", metadata: work.facts)
            try await settle(work.entry)
        } catch {
            logger.debug("delivery interrupted", metadata: ["error": "\(error)"])
        }
    }

    /// How far a buffer has come.
    struct RecordsWork {
        /// With what was decided since it was sealed.
        var entry: JournalEntry
        let kind: DestinationKind
        let lines: FailedLines
        /// Where the chunk begins that comes next.
        var place: LogMark
        /// The records of that chunk that are not settled; nil before its first attempt.
        var pending: [Int]?
        var chunkAttempts = 0
        /// What the retry duration is counted from.
        var clockStart: Timestamp?
        /// Time spent waiting for answers since then.
        var waited: Duration = .zero
        var delays: RetryDelays?
        var hasGivenUp = false
        var counts = KeptFailures.Counts()
        /// What there is for the bucket and for this server's disk, once all is settled.
        var failures: (parts: [Spooler.Part], setAside: Spooler.Part?)?

        init(_ entry: JournalEntry, _ plan: RecordsPlan, lines: FailedLines) {
            self.entry = entry
            kind = plan.destination.kind
            self.lines = lines
            place = entry.start
            clockStart = entry.firstAttempt
            if let kept = entry.failures {
                counts = kept.counts
                hasGivenUp = kept.hasGivenUp
            }
        }

        var facts: Logger.Metadata {
            [
                "destination": "\(kind.rawValue)", "records": "\(counts.records)",
                "failed": "\(counts.failed)", "bytes": "\(counts.bytes)",
                "requests": "\(counts.requests)", "attempts": "\(counts.attempts)",
            ]
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
            work.failures = try await trying("failed records cannot be read") { [self] in
                try await shared.diskThreads.run { [self] _ in
                    try journal.failures(of: entry, shared.options.masterKeys)
                }
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
            work.delays = rules.delays ?? shared.options.retryDelays
            // Each request has the whole time, but one outage is not waited for more than once.
            let isResumed = entry.firstAttempt < startedAt && work.place == entry.start
            if !work.hasGivenUp, !isResumed {
                work.clockStart = rules.clock == .firstAttempt ? shared.options.time.now() : nil
                work.waited = .zero
            }
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
            let answer = try await confirmation()
            if answer.fates.allSatisfy({ $0 == .delivered }) {
                destinationTook(some: true)
                end(extent, &work)
                return nil
            }
            let memory = try await memory(for: entry, destination, work)
            defer { memory.giveBack() }
            let chunk = try await read(entry, plan, destination, work)
            return try await take(answer, chunk, destination, &work)
        }
    }

    private func destinationTook(some isTaken: Bool) {
        isInTrouble.store(!isTaken, ordering: .relaxed)
        if isTaken { outage.destinationAnswered(logger) }
    }

    /// Sorts out what needs no attempt.
    func begin(
        _ chunk: RecordsChunk,
        _ destination: any RecordDestination,
        _ work: inout RecordsWork
    ) async throws {
        try await report(chunk.damaged)
        let refusals = try await trying("failed records cannot be spooled") {
            [lines = work.lines] in
            try await shared.spoolThreads.run { _ in
                for (type, range) in chunk.failures {
                    let line = UnsafeRawBufferPointer(rebasing: chunk.records.block.bytes[range])
                    try lines.add(line, type)
                }
                return destination.refusals(of: chunk.records)
            }
        }
        let failed = refusals.sorted { $0.key < $1.key }.map { Failed($0.key, $0.value, 0) }
        try await fail(failed, chunk, destination, &work)
        work.pending = chunk.records.items.indices.filter { refusals[$0] == nil }
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
            let attempts = work.chunkAttempts - 1 + answer.attempts[index]
            switch answer.fates[index] {
            case .delivered: break
            case .refused(let failure): refused.append((place, failure, attempts))
            case .failed(let failure): failed.append((place, failure, attempts))
            }
        }
        destinationTook(some: failed.count < pending.count)
        try await fail(
            refused,
            chunk,
            destination,
            &work,
            setsAside: answer.setsAside
        )
        work.pending = failed.map(\.place)
        guard let first = failed.first?.failure else {
            end(chunk.extent, &work)
            return nil
        }
        let now = shared.options.time.now()
        if work.clockStart == nil {
            work.clockStart = now
            work.waited = .zero
        }
        var left = timeLeft(destination.retryRules, work, now)
        // It would not listen before the time is up.
        if let pause = answer.retryAfter, pause > left { left = .zero }
        if left <= .zero {
            outage.destinationFailed(logger)
            if !outage.isBucketAway {
                work.hasGivenUp = true
                try await fail(failed, chunk, destination, &work)
                end(chunk.extent, &work)
                return nil
            }
        }
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
        return left > .zero ? min(wanted, left) : wanted
    }

    private func timeLeft(
        _ rules: RetryRules,
        _ work: RecordsWork,
        _ now: Timestamp
    ) -> Duration {
        guard let start = work.clockStart, rules.duration > .zero else { return .zero }
        let used = now - start - (rules.clock == .firstFailure ? work.waited : .zero)
        // A server that was down for long tries for a while before it gives up.
        let least = min(.seconds(Limits.minimumRetrySecondsAfterStart), rules.duration / 10)
        return max(rules.duration - used, least - (now - startedAt))
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
        try await untilDone("failed records cannot be spooled") { [lines = work.lines] in
            try await shared.spoolThreads.run { _ in
                for (place, failure, attempts) in failures {
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
                }
            }
        }
        work.counts.failed += failures.count
    }
}
