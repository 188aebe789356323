package import Records

/// How long something is tried: so long after its first attempt, over restarts; but a server that was
/// down for long tries for a while before it gives up.
package struct RetryAllowance: Sendable, Hashable {
    /// The whole.
    package var duration: Duration
    /// When this server was started.
    package var serverStart: Timestamp

    /// An allowance.
    package init(_ duration: Duration, serverStart: Timestamp) {
        self.duration = duration
        self.serverStart = serverStart
    }

    /// What is left of it, where so much was used.
    package func left(used: Duration, now: Timestamp) -> Duration {
        let least = min(.seconds(Limits.minimumRetrySecondsAfterStart), duration / 10)
        return max(duration - used, least - (now - serverStart))
    }
}
