internal import Destinations
package import Records

/// Decides when a stream's log is cut into buffers, and how far its checkpoint may move.
///
/// Pure: it is told what happened and what time it is, and says what to do next.
package struct BufferStateMachine: Sendable {
    /// A sealed buffer on its way.
    package struct InFlight: Sendable, Equatable {
        var sequence: UInt64
        var end: LogMark
        var isJournalled = true
        var isSettled = false
        /// Since when its oldest record waits, steady; nil where that is not known.
        var since: Timestamp?
        /// See `BufferCut.order`.
        var order: Timestamp?

        /// One that the journal has.
        package init(_ entry: JournalEntry) {
            self.init(sequence: entry.sequence, end: entry.end, since: entry.firstAttempt)
            order = entry.plan.order
        }

        init(
            sequence: UInt64,
            end: LogMark,
            isJournalled: Bool = true,
            since: Timestamp? = nil
        ) {
            self.sequence = sequence
            self.end = end
            self.isJournalled = isJournalled
            self.since = since
        }
    }

    /// What makes the next buffer; what was sealed stays sealed if this changes.
    package var bounds: BufferBounds
    /// Where the next buffer begins.
    package private(set) var start: LogMark
    private var tail: LogMark
    /// When the first record behind `start` arrived; nil until it was looked up.
    private var oldestArrival: Timestamp?
    /// When its buffer began to wait, steady.
    private var waitingSince: Timestamp?
    /// Since when the record waits for its delivery, steady.
    private var oldestSince: Timestamp?
    /// Up to here nothing waits for its buffer to be full.
    private var flushed: LogMark?
    private var inFlight: [InFlight]
    /// The latest `BufferCut.order`.
    private var lastOrder: Timestamp
    private(set) var nextSequence: UInt64

    /// Goes on from a checkpoint, with the buffers that were sealed behind it, in order.
    package init(
        bounds: BufferBounds,
        checkpoint: LogMark,
        resumed: [InFlight],
        nextSequence: UInt64
    ) {
        self.bounds = bounds
        start = resumed.last?.end ?? checkpoint
        tail = start
        inFlight = resumed
        lastOrder = resumed.compactMap(\.order).max() ?? Timestamp(milliseconds: 0)
        self.nextSequence = nextSequence
    }

    /// What to do next.
    package enum Step: Sendable, Equatable {
        /// Nothing to do before a buffer is settled.
        case waitForSettlement
        /// Nothing to do before the log has more than so many records.
        case waitForRecords(UInt64)
        /// Look up when the first record behind the mark arrived, and call `arrivalFound`.
        case findArrival(after: LogMark)
        /// Nothing to do before the time, or before the log has so many bytes.
        case wait(until: Timestamp, orBytes: UInt64)
        /// Cut a buffer and decide what becomes of it; call `sealed`.
        case seal(BufferCut)
    }

    /// What to do, given how far the log reaches now; `now` is steady.
    package mutating func next(tail: LogMark, now: Timestamp) -> Step {
        self.tail = tail
        // The two ways do not overtake each other: only one of them leaves journal entries.
        // One that takes long does not hold up those behind it at once.
        let unsettled = inFlight.count { !$0.isSettled }
        if unsettled >= bounds.maximumInFlight
            || inFlight.count >= bounds.maximumInFlight * Limits.settledBuffersBehindOne
            || inFlight.contains(where: isElsewhere)
        {
            return .waitForSettlement
        }
        if tail.position <= start.position { return .waitForRecords(start.records) }
        guard let oldestArrival, let waitingSince else { return .findArrival(after: start) }
        let due = waitingSince + .seconds(bounds.intervalSeconds)
        // Counters may jump over damage, never back: a plain comparison is safe.
        let waiting = max(tail.bytes, start.bytes) - start.bytes
        let size = bounds.bytes(waiting: waiting)
        if let flushed, flushed.position > start.position {
            let limit = tail.position < flushed.position ? tail : flushed
            return .seal(cut(size, limit: limit, arrival: oldestArrival))
        }
        if waiting >= size || now >= due {
            return .seal(cut(size, limit: tail, arrival: oldestArrival))
        }
        return .wait(until: due, orBytes: start.bytes + size)
    }

    private func cut(_ bytes: UInt64, limit: LogMark, arrival: Timestamp) -> BufferCut {
        BufferCut(
            sequence: nextSequence,
            start: start,
            limit: limit,
            bytes: bytes,
            arrival: arrival,
            order: max(lastOrder, arrival),
            // Where others are in flight, their entries join it.
            joinsCheckpoint: bounds.isJournalled && inFlight.isEmpty
        )
    }

    private func isElsewhere(_ buffer: InFlight) -> Bool {
        buffer.isJournalled != bounds.isJournalled
    }

    /// The answer to `findArrival`.
    ///
    /// - Parameters:
    ///   - arrival: What the clock said then, be it right or wrong.
    ///   - since: When the buffer began to wait, steady.
    ///   - oldest: Since when the record waits for its delivery, steady; since then unless it is given.
    package mutating func arrivalFound(
        _ arrival: Timestamp,
        since: Timestamp,
        oldest: Timestamp? = nil
    ) {
        oldestArrival = arrival
        waitingSince = since
        // It came behind those of the buffer before, whatever somebody has set the clock to since.
        let oldest = oldest ?? since
        oldestSince = max(oldest, inFlight.last?.since ?? oldest)
    }

    /// What is before a mark goes out now; what comes behind it waits as ever.
    package mutating func flush(to mark: LogMark) {
        guard mark.position > max(start.position, flushed?.position ?? start.position) else {
            return
        }
        flushed = mark
    }

    /// How many buffers are sealed and not settled.
    var unsettled: Int { inFlight.count { !$0.isSettled } }

    /// Since when the oldest record waits that is not settled, steady; nil for none, and where it is not
    /// known yet.
    package var oldestUnsettled: Timestamp? {
        (inFlight.filter { !$0.isSettled }.map(\.since) + [oldestSince])
            .compactMap(\.self).min()
    }

    /// Whether no earlier buffer keeps the checkpoint from moving over this one.
    package func isFirst(_ sequence: UInt64) -> Bool {
        inFlight.prefix { $0.sequence != sequence }.allSatisfy(\.isSettled)
    }

    /// A buffer was cut and journalled.
    package mutating func sealed(_ sequence: UInt64, end: LogMark) {
        precondition(end.position > start.position, "a buffer holds something")
        if let oldestArrival { lastOrder = max(lastOrder, oldestArrival) }
        inFlight.append(
            InFlight(
                sequence: sequence,
                end: end,
                isJournalled: bounds.isJournalled,
                since: oldestSince
            )
        )
        nextSequence = max(nextSequence, sequence) + 1
        start = end
        oldestArrival = nil
        waitingSince = nil
        oldestSince = nil
    }

    /// What a settlement allows.
    package struct Progress: Sendable, Equatable {
        /// The checkpoint may move here.
        package var checkpoint: LogMark
        /// The journal entries of these buffers are no longer needed.
        package var finished: [UInt64]
    }

    /// Every record of a buffer is where it belongs, or set aside.
    ///
    /// The checkpoint moves in order: nil while an earlier buffer is still on its way.
    package mutating func settled(_ sequence: UInt64) -> Progress? {
        guard let index = inFlight.firstIndex(where: { $0.sequence == sequence }) else {
            preconditionFailure("buffer \(sequence) is not in flight")
        }
        inFlight[index].isSettled = true
        let done = inFlight.prefix { $0.isSettled }
        guard let last = done.last else { return nil }
        inFlight.removeFirst(done.count)
        let finished = done.filter(\.isJournalled).map(\.sequence)
        return Progress(checkpoint: last.end, finished: finished)
    }
}
