package import Records

/// What the state machine of a buffer's records is told, and what it says.
extension RecordDeliveryStateMachine {
    /// What is known of the buffer.
    package struct Buffer: Sendable {
        var start: LogMark
        var end: LogMark
        var firstAttempt: Timestamp
        var progress: DeliveryProgress?
        var kept: FailureSummary?
        /// Whether an earlier run may have sent some of it.
        var isResumed: Bool

        /// What the journal says.
        package init(_ entry: JournalEntry, isResumed: Bool) {
            self.isResumed = isResumed
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
        /// Ask the destination which of these it holds, by their places in that part; call `looked` or
        /// `lookFailed`.
        case look([Int])
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
}
