package import Records

/// When a destination is tried again.
package struct RetryRules: Sendable {
    /// What the retry duration is counted from.
    package enum Clock: Sendable {
        /// The first attempt.
        case firstAttempt
        /// The first failure, without the time that was spent waiting for answers.
        case firstFailure
    }

    /// How long it is tried again; zero for not at all.
    package var duration: Duration
    /// From when on.
    package var clock: Clock
    /// The waits between attempts; nil for the server's own.
    package var delays: RetryDelays?
    /// How long it is asked, once it does not answer, whether it holds records that are given up, of
    /// which it may hold some; nil where it cannot be asked.
    package var lookDuration: Duration?

    /// Rules.
    package init(
        duration: Duration,
        clock: Clock,
        delays: RetryDelays? = nil,
        lookDuration: Duration? = nil
    ) {
        self.duration = duration
        self.clock = clock
        self.delays = delays
        self.lookDuration = lookDuration
    }
}

extension RetryRules {
    /// What HTTP endpoints and Splunk are promised: from the first failure on, with 1 s times 2 to the n
    /// between attempts, 15 % more or less, at most 120 s.
    static func ofEndpoints(_ duration: Duration) -> RetryRules {
        RetryRules(
            duration: duration,
            clock: .firstFailure,
            delays: RetryDelays(base: .seconds(1), cap: .seconds(120), jitter: .about(0.15))
        )
    }
}
