/// Waiting times between attempts: exponential, with full jitter.
///
/// Source: AWS Architecture Blog, "Exponential Backoff And Jitter" (2015), "full jitter".
package struct RetryDelays: Sendable {
    private let base: Duration
    private let cap: Duration
    private var attempt = 0

    /// The n-th wait is between zero and `base` times 2 to the n, but never above `cap`.
    package init(base: Duration = .milliseconds(500), cap: Duration = .seconds(30)) {
        self.base = base
        self.cap = cap
    }

    /// The next wait.
    package mutating func next(using generator: inout some RandomNumberGenerator) -> Duration {
        let most = min(cap, base * (1 << min(attempt, 20)))
        attempt += 1
        return most * Double.random(in: 0...1, using: &generator)
    }
}
