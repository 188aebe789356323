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
    /// What the retry duration is counted from.
    private struct Clock {
        /// Nil where it does not run.
        var start: Timestamp?
        /// Time spent waiting for answers since then.
        var waited: Duration = .zero
    }

    /// What one outage took already: it is not waited for more than once.
    private struct Outage {
        /// Whether the retry duration was used up, and nothing was taken since.
        var isWaitedOut = false
        /// Whether the time for a look was used up, and the destination said nothing since.
        var isLookedOut = false
    }

    private var buffer: Buffer
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
    private var outage = Outage()
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

    /// The numbers of records of the part that was read, by their places.
    package func numbers(at places: [Int]) -> [RecordNumber] {
        places.map { pending?.part.numbers[$0] ?? 0 }
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
        if !outage.isWaitedOut, !isResumed { clock.start = nil }
        // What an earlier run sent last, nobody knows.
        var pending = Pending(part: part, places: [])
        if buffer.isResumed {
            pending.uncertainSince = max(buffer.firstAttempt, allowance.serverStart)
        }
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
        if settled.isUncertain || answer.isUncertain { part.uncertainSince = now }
        let failed = settled.failed
        pending = part
        actions = []
        var report = settled.report
        if report.isTaken, outage.isWaitedOut {
            // It listens again: what it did not take has its whole time.
            outage.isWaitedOut = false
            clock = Clock(start: now)
        }
        let isEnd = failed.isEmpty && part.part.end.position >= buffer.end.position
        note(sent, delivered: Set(report.delivered), isWritten: report.isTaken && !isEnd)
        guard !failed.isEmpty else {
            lookOrGoOn(now, nil)
            return report
        }
        if clock.start == nil { clock = Clock(start: now) }
        var left = timeLeft(now)
        // It would not listen before the time is up.
        if let pause = answer.retryAfter, pause > left { left = .zero }
        report.isTimeUp = left <= .zero
        if report.isTimeUp, !isNowhere {
            summary.hasGivenUp = true
            outage.isWaitedOut = !answer.isJudged
            pending?.failed += failed
            lookOrGoOn(now, nil, pauses: true)
            return report
        }
        report.isRetried = true
        pending?.places = failed.map { Self.place(of: $0, in: part) }
        lookOrGoOn(
            now,
            RetryWait(
                least: answer.retryAfter ?? .zero,
                most: left > .zero ? left : .seconds(Limits.maximumPausedSeconds)
            )
        )
        return report
    }

    // MARK: Looks

    /// Goes on behind an attempt: to a wait before the next, or, without one, to the next part.
    ///
    /// A record that an earlier attempt may have brought has not failed before the destination was asked,
    /// which `pauses` says to do a while after that attempt: nobody waits for it any more, and it may still
    /// be under way.
    private mutating func lookOrGoOn(
        _ now: Timestamp,
        _ wait: RetryWait?,
        pauses: Bool = false
    ) {
        guard let part = pending else { return }
        let sent = part.failed.filter { $0.attempts > 0 }
        guard let duration = rules.lookDuration, let since = part.uncertainSince, !sent.isEmpty
        else {
            return goOn(wait)
        }
        let places = sent.map { Self.place(of: $0, in: part) }
        let longest = pauses ? min(duration, .seconds(Limits.lookPauseSeconds)) : .zero
        let pause = longest - (now - since)
        pending?.look = Look(places: places, start: now + max(.zero, pause), wait: wait)
        if pause > .zero { actions.append(.wait(RetryWait(least: pause, most: pause))) }
        actions.append(.look(places))
    }

    private mutating func goOn(_ wait: RetryWait?) {
        guard let wait else { return endPart() }
        // Nothing waits in memory.
        gather()
        actions.append(.wait(wait))
    }

    /// The answer to `look`: whether each is there.
    ///
    /// - Returns: The places of those that are: they are delivered.
    package mutating func looked(_ isThere: [Bool]) -> [Int] {
        guard let part = pending, let look = part.look else { preconditionFailure("it was looked") }
        outage.isLookedOut = false
        let found = zip(look.places, isThere).filter(\.1).map(\.0)
        let numbers = found.map { part.part.numbers[$0] }
        let known = Set(numbers)
        pending?.failed.removeAll { known.contains($0.number) }
        pending?.look = nil
        actions = []
        if !found.isEmpty, !isProgressFrozen, var progress {
            progress.add(delivered: numbers, open: [], upTo: 0)
            self.progress = progress
            isProgressWritten = false
            actions.append(.note(progress))
        }
        goOn(look.wait)
        return found
    }

    /// It could not be told which are there, and where `isFinal`, never will be.
    ///
    /// - Returns: Whether it is asked again. Where it is not, the records have failed, and their lines say
    ///   what is not known.
    package mutating func lookFailed(isFinal: Bool, now: Timestamp) -> Bool {
        guard let look = pending?.look, let duration = rules.lookDuration else {
            preconditionFailure("it was looked")
        }
        let left = duration - (now - look.start)
        actions = []
        guard isFinal || left <= .zero || outage.isLookedOut else {
            actions = [.wait(RetryWait(most: left)), .look(look.places)]
            return true
        }
        outage.isLookedOut = !isFinal
        pending?.look = nil
        if let failed = pending?.failed {
            pending?.failed = failed.map { record in
                guard record.attempts > 0 else { return record }
                var record = record
                record.failure.message += Self.doubt
                return record
            }
        }
        goOn(look.wait)
        return false
    }

    private static let doubt =
        " It may have been delivered: a response was lost, and the destination could not be asked."

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
        buffer.isResumed = true
        hasEarlierFailures = false
        unsent = []
        summary = FailureSummary()
        place = buffer.start
        clock = Clock(start: buffer.firstAttempt)
        outage = Outage()
        pending = nil
        actions = []
        goOn()
    }
}
