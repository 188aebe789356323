package import Destinations
package import Records

/// Decides how the records of one buffer reach a destination that takes them one by one: what is sent,
/// what is tried again and for how long, what has failed, and what must be durable before what.
///
/// Pure: it says what to do (`next`) and is told what came of it. It knows records by their numbers alone.
///
/// The order that nothing may change: a failed record is delivered as such only after all failed records
/// are durable (`keep`), and with that no record of the buffer is sent again.
package struct RecordDeliveryStateMachine: Sendable {
    /// What is known of the buffer.
    package struct Buffer: Sendable {
        var start: LogMark
        var end: LogMark
        var firstAttempt: Timestamp
        var progress: DeliveryProgress?
        var kept: FailureSummary?

        /// What the journal says.
        package init(_ entry: JournalEntry) {
            start = entry.start
            end = entry.end
            firstAttempt = entry.firstAttempt
            progress = entry.progress
            kept = entry.kept?.summary ?? entry.failures?.summary
        }
    }

    /// What to do next; `done` when it is, where nothing else is said.
    package enum Action: Equatable, Sendable {
        /// Read the part that begins there and fits into a request; call `read`.
        case read(from: LogMark)
        /// Send records of that part, by their places in it; call `answered`.
        case send([Int])
        /// Write down what is delivered.
        case note(DeliveryProgress)
        /// Gather records that failed; they need not be durable. Those of one part may come in several
        /// calls, in any order; those of the next part come behind them.
        case gather([FailedRecord])
        /// Wait before the next attempt.
        case wait(RetryWait)
        /// Make durable what was gathered.
        case keep(FailureSummary)
        /// Bring failed records where they belong; call `done` or `keptAreDamaged`.
        case deliverFailures
        /// Each record is where it belongs.
        case settle
    }

    /// A part of the buffer, as it was read.
    package struct Part: Sendable {
        /// The numbers of its records, rising.
        package var numbers: [RecordNumber]
        /// Bytes of all of them.
        package var bytes: Int
        /// Where the next part begins.
        package var end: LogMark
        /// Those that would be refused whatever the destination thinks of them, by their places.
        package var refusals: [Int: DeliveryFailure] = [:]
        /// Whether it holds records that failed before they came to be delivered.
        package var hasEarlierFailures = false

        /// A part.
        package init(
            numbers: [RecordNumber],
            bytes: Int,
            end: LogMark,
            refusals: [Int: DeliveryFailure] = [:],
            hasEarlierFailures: Bool = false
        ) {
            self.numbers = numbers
            self.bytes = bytes
            self.end = end
            self.refusals = refusals
            self.hasEarlierFailures = hasEarlierFailures
        }
    }

    /// What an attempt came to.
    package struct Report: Sendable, Equatable {
        /// Places of delivered records.
        package var delivered: [Int] = []
        /// Records that no attempt will help.
        package var refused = 0
        /// Records that another attempt might help.
        package var failed = 0
        /// How many attempts the part has had.
        package var attempts = 0
        /// Why the first of those failed.
        package var failure: DeliveryFailure?
        /// Whether the time for them is up.
        package var isTimeUp = false
        /// Whether another attempt follows.
        package var isRetried = false
        /// Whether some record was delivered or refused.
        package var isTaken: Bool { delivered.count + refused > 0 }
    }

    private struct Pending {
        var part: Part
        /// Places of the records that are not settled.
        var places: [Int]
        var failed: [FailedRecord] = []
        var attempts = 0
        /// How many requests more than attempts carried a record.
        var extraRequests: [Int: Int] = [:]
    }

    /// What the retry duration is counted from.
    private struct Clock {
        /// Nil where it does not run.
        var start: Timestamp?
        /// Time spent waiting for answers since then.
        var waited: Duration = .zero
    }

    private let buffer: Buffer
    private let rules: RetryRules
    private let allowance: RetryAllowance
    /// Where the part begins that comes next.
    package private(set) var place: LogMark
    private var pending: Pending?
    private var actions: [Action] = []
    /// Numbers of records that were refused before they were sent, which `progress` does not have yet.
    private var unsent: [RecordNumber] = []
    /// What is delivered, as far as it is known.
    package private(set) var progress: DeliveryProgress?
    /// Whether too many records are open for the journal to say which.
    private var isProgressFrozen = false
    /// Whether the journal knows it.
    private var isProgressWritten = true
    private var clock: Clock
    /// Whether the retry duration was used up, and nothing was taken since.
    private var isWaitedOut = false
    private var hasEarlierFailures = false
    private var isKept: Bool
    /// What came of the records so far.
    package private(set) var summary: FailureSummary

    /// Goes on with a buffer.
    ///
    /// - Parameters:
    ///   - buffer: What the journal says of it.
    ///   - rules: The destination's.
    ///   - allowance: How long it is tried.
    package init(_ buffer: Buffer, rules: RetryRules, allowance: RetryAllowance) {
        self.buffer = buffer
        self.rules = rules
        self.allowance = allowance
        place = buffer.start
        progress = buffer.progress
        summary = buffer.kept ?? FailureSummary()
        isKept = buffer.kept != nil
        clock = Clock(start: buffer.firstAttempt)
        goOn()
    }

    /// What to do next.
    package var next: Action { actions[0] }

    /// What `next` said is done.
    package mutating func done() {
        let action = actions.removeFirst()
        switch action {
        case .keep: isKept = true
        case .note: isProgressWritten = true
        case .deliverFailures: return actions = [.settle]
        case .settle: return actions = [.settle]
        default: break
        }
        if actions.isEmpty { goOn() }
    }

    private mutating func goOn() {
        if isKept {
            actions = [.deliverFailures]
        } else if let pending {
            actions = [.send(pending.places)]
        } else if place.position < buffer.end.position {
            actions = [.read(from: place)]
        } else if summary.failed > 0 || hasEarlierFailures {
            // Should what is kept be damaged later, only what is open is sent again.
            actions = isProgressWritten ? [] : progress.map { [.note($0)] } ?? []
            actions.append(.keep(summary))
        } else {
            actions = [.settle]
        }
    }

    // MARK: Requests

    /// The answer to `read`; `now` is steady, and `wall` the time that people are told, by default the same.
    package mutating func read(_ part: Part, now: Timestamp, at wall: Timestamp? = nil) {
        // Each request has the whole time, but one outage is not waited for more than once.
        let isResumed =
            buffer.firstAttempt < allowance.serverStart && place.position == buffer.start.position
        if !isWaitedOut, !isResumed { clock.start = nil }
        var pending = Pending(part: part, places: [])
        for (place, number) in part.numbers.enumerated() {
            if let failure = part.refusals[place] {
                unsent.append(number)
                pending.failed.append(
                    FailedRecord(
                        number: number,
                        failure: failure,
                        attempts: 0,
                        endedAt: wall ?? now
                    )
                )
            } else if progress?.isDelivered(number) != true {
                pending.places.append(place)
            }
        }
        if part.hasEarlierFailures { hasEarlierFailures = true }
        self.pending = pending
        actions = []
        guard !pending.places.isEmpty else { return endPart() }
        if clock.start == nil, rules.clock == .firstAttempt { clock = Clock(start: now) }
        goOn()
    }

    /// What a request came to: a fate for each record that was sent.
    ///
    /// `now` is steady, and `wall` the time that people are told, by default the same. `isNowhere` says
    /// that the bucket for failed records takes nothing either: then nothing is given up.
    package mutating func answered(
        _ answer: DeliveryAnswer,
        requests: Int,
        now: Timestamp,
        at wall: Timestamp? = nil,
        isNowhere: Bool
    ) -> Report {
        guard var part = pending else { preconditionFailure("a part was sent") }
        if clock.start != nil { clock.waited += answer.waited }
        part.attempts += 1
        summary.requests += requests
        summary.attempts = max(summary.attempts, part.attempts)
        let sent = part.places
        let settled = Self.settle(&part, answer, wall ?? now)
        let failed = settled.failed
        pending = part
        actions = []
        var report = settled.report
        if report.isTaken, isWaitedOut {
            // It listens again: what it did not take has its whole time.
            isWaitedOut = false
            clock = Clock(start: now)
        }
        let isEnd = failed.isEmpty && part.part.end.position >= buffer.end.position
        note(sent, delivered: Set(report.delivered), isWritten: report.isTaken && !isEnd)
        guard !failed.isEmpty else {
            endPart()
            return report
        }
        if clock.start == nil { clock = Clock(start: now) }
        var left = timeLeft(now)
        // It would not listen before the time is up.
        if let pause = answer.retryAfter, pause > left { left = .zero }
        report.isTimeUp = left <= .zero
        if report.isTimeUp, !isNowhere {
            summary.hasGivenUp = true
            isWaitedOut = !answer.isJudged
            pending?.failed += failed
            endPart()
            return report
        }
        report.isRetried = true
        pending?.places = failed.map { Self.place(of: $0, in: part) }
        // Nothing waits in memory.
        gather()
        actions.append(
            .wait(
                RetryWait(
                    least: answer.retryAfter ?? .zero,
                    most: left > .zero ? left : .seconds(Limits.maximumPausedSeconds)
                )
            )
        )
        return report
    }

    private static func place(of record: FailedRecord, in part: Pending) -> Int {
        var (low, high) = (0, part.part.numbers.count)
        while low < high {
            let middle = (low + high) / 2
            if part.part.numbers[middle] < record.number { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Sorts an answer's fates; refused records are failed for good.
    private static func settle(
        _ part: inout Pending,
        _ answer: DeliveryAnswer,
        _ now: Timestamp
    ) -> (report: Report, failed: [FailedRecord]) {
        var report = Report(attempts: part.attempts)
        var failed: [FailedRecord] = []
        for (index, place) in part.places.enumerated() {
            let extra = part.extraRequests[place, default: 0] + answer.attempts[index] - 1
            if extra > 0 { part.extraRequests[place] = extra }
            func record(_ failure: DeliveryFailure, isSetAside: Bool = false) -> FailedRecord {
                FailedRecord(
                    number: part.part.numbers[place],
                    failure: failure,
                    attempts: part.attempts + extra,
                    endedAt: now,
                    isSetAside: isSetAside
                )
            }
            switch answer.fates[index] {
            case .delivered: report.delivered.append(place)
            case .refused(let failure):
                report.refused += 1
                part.failed.append(record(failure, isSetAside: answer.setsAside))
            case .failed(let failure):
                report.failure = report.failure ?? failure
                failed.append(record(failure))
            }
        }
        report.failed = failed.count
        return (report, failed)
    }

    private func timeLeft(_ now: Timestamp) -> Duration {
        guard let start = clock.start, rules.duration > .zero else { return .zero }
        let used = now - start - (rules.clock == .firstFailure ? clock.waited : .zero)
        return allowance.left(used: used, now: now)
    }

    /// Remembers what is delivered, and writes it down where a restart must neither send it again nor give
    /// it up.
    private mutating func note(_ sent: [Int], delivered: Set<Int>, isWritten: Bool) {
        guard !isProgressFrozen, let numbers = pending?.part.numbers,
            let first = sent.first, let last = sent.last
        else { return }
        let begin = min(numbers[first], unsent.first ?? numbers[first])
        var progress = progress ?? DeliveryProgress(next: begin, open: [])
        progress.add(
            delivered: sent.filter(delivered.contains).map { numbers[$0] },
            open: unsent + sent.filter { !delivered.contains($0) }.map { numbers[$0] },
            upTo: max(numbers[last], unsent.last ?? 0) + 1
        )
        unsent = []
        guard progress.open.count <= Limits.maximumOpenRecords else {
            return isProgressFrozen = true
        }
        self.progress = progress
        isProgressWritten = false
        if isWritten { actions.append(.note(progress)) }
    }

    private mutating func gather() {
        guard let failed = pending?.failed, !failed.isEmpty else { return }
        pending?.failed = []
        summary.failed += failed.count
        actions.append(.gather(failed))
    }

    private mutating func endPart() {
        gather()
        guard let part = pending else { return }
        pending = nil
        place = part.part.end
        summary.records += part.part.numbers.count
        summary.bytes += part.part.bytes
        if actions.isEmpty { goOn() }
    }

    // MARK: Failed records

    /// What was kept cannot be read: the buffer is sent again, as far as it is not known to be delivered.
    package mutating func keptAreDamaged() {
        isKept = false
        hasEarlierFailures = false
        unsent = []
        summary = FailureSummary()
        place = buffer.start
        clock = Clock(start: buffer.firstAttempt)
        isWaitedOut = false
        pending = nil
        actions = []
        goOn()
    }
}
