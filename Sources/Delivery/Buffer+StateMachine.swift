internal import Records

/// Decides when a stream's log is cut into buffers, and how far its checkpoint may move.
///
/// Pure: it is told what happened and what time it is, and says what to do next.
struct BufferStateMachine {
    /// A sealed buffer on its way.
    struct InFlight: Equatable {
        var sequence: UInt64
        var end: LogMark
        var isSettled = false
    }

    /// When a buffer is full; what was sealed stays sealed if they change.
    var hints: BufferingHints
    private let maximumInFlight: Int
    /// Where the next buffer begins.
    private(set) var start: LogMark
    private var tail: LogMark
    /// When the first record behind `start` arrived; nil until it was looked up.
    private var oldestArrival: Timestamp?
    private var inFlight: [InFlight]
    private(set) var nextSequence: UInt64

    /// Goes on from a checkpoint, with the buffers that were sealed behind it, in order.
    init(
        hints: BufferingHints,
        maximumInFlight: Int,
        checkpoint: LogMark,
        resumed: [InFlight],
        nextSequence: UInt64
    ) {
        self.hints = hints
        self.maximumInFlight = maximumInFlight
        start = resumed.last?.end ?? checkpoint
        tail = start
        inFlight = resumed
        self.nextSequence = nextSequence
    }

    enum Step: Equatable {
        /// Nothing to do before a buffer is settled.
        case waitForSettlement
        /// Nothing to do before the log has more than so many records.
        case waitForRecords(UInt64)
        /// Look up when the first record behind the mark arrived, and call `arrivalFound`.
        case findArrival(after: LogMark)
        /// Nothing to do before the time, or before the log has so many bytes.
        case wait(until: Timestamp, orBytes: UInt64)
        /// Cut a buffer that begins at `from` and ends at `limit` at the latest; call `sealed`.
        case seal(from: LogMark, limit: LogMark, sequence: UInt64, oldestArrival: Timestamp)
    }

    /// What to do, given how far the log reaches now.
    mutating func next(tail: LogMark, now: Timestamp) -> Step {
        self.tail = tail
        if inFlight.count >= maximumInFlight { return .waitForSettlement }
        if tail.position <= start.position { return .waitForRecords(start.records) }
        guard let oldestArrival else { return .findArrival(after: start) }
        let due = oldestArrival + .seconds(hints.intervalInSeconds)
        // Counters may jump over damage, never back: a plain comparison is safe.
        let isFull = tail.bytes >= start.bytes + hints.sizeInBytes
        if isFull || now >= due {
            return .seal(
                from: start,
                limit: tail,
                sequence: nextSequence,
                oldestArrival: oldestArrival
            )
        }
        return .wait(until: due, orBytes: start.bytes + hints.sizeInBytes)
    }

    /// The answer to `findArrival`.
    ///
    /// A stamp of a clock that was ahead does not hold a buffer up.
    mutating func arrivalFound(_ arrival: Timestamp, now: Timestamp) {
        oldestArrival = min(arrival, now)
    }

    /// A buffer was cut and journalled.
    mutating func sealed(end: LogMark) {
        precondition(end.position > start.position, "a buffer holds something")
        inFlight.append(InFlight(sequence: nextSequence, end: end))
        nextSequence += 1
        start = end
        oldestArrival = nil
    }

    /// What a settlement allows.
    struct Progress: Equatable {
        /// The checkpoint may move here.
        var checkpoint: LogMark
        /// The journal entries of these buffers are no longer needed.
        var finished: [UInt64]
    }

    /// Every record of a buffer is where it belongs, or set aside.
    ///
    /// The checkpoint moves in order: nil while an earlier buffer is still on its way.
    mutating func settled(_ sequence: UInt64) -> Progress? {
        guard let index = inFlight.firstIndex(where: { $0.sequence == sequence }) else {
            preconditionFailure("buffer \(sequence) is not in flight")
        }
        inFlight[index].isSettled = true
        let done = inFlight.prefix { $0.isSettled }
        guard let last = done.last else { return nil }
        inFlight.removeFirst(done.count)
        return Progress(checkpoint: last.end, finished: done.map(\.sequence))
    }
}
