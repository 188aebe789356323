internal import Destinations
internal import Records

/// Decides how the records of one buffer reach a destination that takes them one by one: what is sent,
/// what is tried again and for how long, what has failed, and what must be durable before what.
///
/// Pure: it says what to do (`next`) and is told what came of it. It knows records by their numbers alone.
///
/// The order that nothing may change: a failed record is delivered as such only after all failed records
/// are durable (`keep`), and with that no record of the buffer is sent again.
struct RecordDeliveryStateMachine: Sendable {
    /// What is known of the buffer.
    struct Buffer: Sendable {
        var start: LogMark
        var end: LogMark
        var firstAttempt: Timestamp
        /// What is delivered of it; nil for nothing that is known.
        var progress: DeliveryProgress?
        /// What came of its records, where what failed is durable.
        var kept: FailureSummary?
    }

    /// What to do next; `done` when it is, where nothing else is said.
    enum Action: Equatable, Sendable {
        /// Read the part that begins there and fits into a request; call `read`.
        case read(from: LogMark)
        /// Send records of that part, by their places in it; call `answered`.
        case send([Int])
        /// Write down what is delivered.
        case note(DeliveryProgress)
        /// Gather records that failed, in the order of their numbers; they need not be durable.
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
    struct Part: Sendable {
        /// The numbers of its records, rising.
        var numbers: [RecordNumber]
        /// Bytes of all of them.
        var bytes: Int
        /// Where the next part begins.
        var end: LogMark
        /// Those that would be refused whatever the destination thinks of them, by their places.
        var refusals: [Int: DeliveryFailure] = [:]
        /// Whether it holds records that failed before they came to be delivered.
        var hasEarlierFailures = false
    }

    /// What an attempt came to.
    struct Report: Sendable, Equatable {
        /// Places of delivered records.
        var delivered: [Int] = []
        var refused = 0
        /// Records that another attempt might help.
        var failed = 0
        /// How many attempts the part has had.
        var attempts = 0
        /// Why the first of those failed.
        var failure: DeliveryFailure?
        /// Whether the time for them is up.
        var isTimeUp = false
        /// Whether another attempt follows.
        var isRetried = false
        /// Whether some record was delivered or refused.
        var isTaken: Bool { delivered.count + refused > 0 }
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

    private let buffer: Buffer
    private let rules: RetryRules
    private let allowance: RetryAllowance
    /// Where the part begins that comes next.
    private(set) var place: LogMark
    private var pending: Pending?
    private var actions: [Action] = []
    /// What is delivered, as far as it is known.
    private(set) var progress: DeliveryProgress?
    /// Whether too many records are open for the journal to say which.
    private var isProgressFrozen = false
    /// What the retry duration is counted from.
    private var clockStart: Timestamp?
    /// Time spent waiting for answers since then.
    private var waited: Duration = .zero
    /// Whether the retry duration was used up, and nothing was taken since.
    private var isWaitedOut = false
    private var hasEarlierFailures = false
    private var isKept: Bool
    /// What came of the records so far.
    private(set) var summary: FailureSummary

    init(_ buffer: Buffer, rules: RetryRules, allowance: RetryAllowance) {
        self.buffer = buffer
        self.rules = rules
        self.allowance = allowance
        place = buffer.start
        progress = buffer.progress
        summary = buffer.kept ?? FailureSummary()
        isKept = buffer.kept != nil
        clockStart = buffer.firstAttempt
        goOn()
    }

    /// What to do next.
    var next: Action { actions[0] }

    /// What `next` said is done.
    mutating func done() {
        let action = actions.removeFirst()
        switch action {
        case .keep: isKept = true
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
            actions = [.keep(summary)]
        } else {
            actions = [.settle]
        }
    }

    // MARK: Requests

    /// The answer to `read`.
    mutating func read(_ part: Part, now: Timestamp) {
        // Each request has the whole time, but one outage is not waited for more than once.
        let isResumed =
            buffer.firstAttempt < allowance.serverStart && place.position == buffer.start.position
        if !isWaitedOut, !isResumed { clockStart = nil }
        var pending = Pending(part: part, places: [])
        for (place, number) in part.numbers.enumerated() {
            if let failure = part.refusals[place] {
                pending.failed.append(
                    FailedRecord(number: number, failure: failure, attempts: 0, endedAt: now)
                )
            } else if progress?.isDelivered(number) != true {
                pending.places.append(place)
            }
        }
        if part.hasEarlierFailures { hasEarlierFailures = true }
        self.pending = pending
        actions = []
        guard !pending.places.isEmpty else { return endPart() }
        if clockStart == nil, rules.clock == .firstAttempt {
            clockStart = now
            waited = .zero
        }
        goOn()
    }

    /// What a request came to: a fate for each record that was sent.
    ///
    /// `isNowhere` says that the bucket for failed records takes nothing either: then nothing is given up.
    mutating func answered(
        _ answer: DeliveryAnswer,
        requests: Int,
        now: Timestamp,
        isNowhere: Bool
    ) -> Report {
        guard var part = pending else { preconditionFailure("a part was sent") }
        if clockStart != nil { waited += answer.waited }
        part.attempts += 1
        summary.requests += requests
        summary.attempts = max(summary.attempts, part.attempts)
        let sent = part.places
        let settled = Self.settle(&part, answer, now)
        let failed = settled.failed
        pending = part
        actions = []
        var report = settled.report
        if report.isTaken, isWaitedOut {
            // It listens again: what it did not take has its whole time.
            isWaitedOut = false
            clockStart = now
            waited = .zero
        }
        let isEnd = failed.isEmpty && part.part.end.position >= buffer.end.position
        note(sent, delivered: Set(report.delivered), isWritten: report.isTaken && !isEnd)
        guard !failed.isEmpty else {
            endPart()
            return report
        }
        if clockStart == nil {
            clockStart = now
            waited = .zero
        }
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
        guard let clockStart, rules.duration > .zero else { return .zero }
        let used = now - clockStart - (rules.clock == .firstFailure ? waited : .zero)
        return allowance.left(used: used, now: now)
    }

    /// Remembers what is delivered, and writes it down where a restart must neither send it again nor give
    /// it up.
    private mutating func note(_ sent: [Int], delivered: Set<Int>, isWritten: Bool) {
        guard !isProgressFrozen, let numbers = pending?.part.numbers,
            let first = sent.first, let last = sent.last
        else { return }
        var progress = progress ?? DeliveryProgress(next: numbers[first], open: [])
        progress.add(
            delivered: sent.filter(delivered.contains).map { numbers[$0] },
            open: sent.filter { !delivered.contains($0) }.map { numbers[$0] },
            upTo: numbers[last] + 1
        )
        guard progress.open.count <= Limits.maximumOpenRecords else {
            return isProgressFrozen = true
        }
        self.progress = progress
        if isWritten { actions.append(.note(progress)) }
    }

    private mutating func endPart() {
        guard let part = pending else { return }
        pending = nil
        place = part.part.end
        summary.records += part.part.numbers.count
        summary.bytes += part.part.bytes
        if !part.failed.isEmpty {
            let failed = part.failed.sorted { $0.number < $1.number }
            summary.failed += failed.count
            actions.append(.gather(failed))
        }
        if actions.isEmpty { goOn() }
    }

    // MARK: Failed records

    /// What was kept cannot be read: the buffer is sent again, as far as it is not known to be delivered.
    mutating func keptAreDamaged() {
        isKept = false
        hasEarlierFailures = false
        summary = FailureSummary()
        place = buffer.start
        clockStart = buffer.firstAttempt
        waited = .zero
        isWaitedOut = false
        pending = nil
        actions = []
        goOn()
    }
}
