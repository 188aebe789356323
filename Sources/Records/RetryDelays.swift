/// Waiting times between attempts: exponential, with jitter.
///
/// Source: AWS Architecture Blog, "Exponential Backoff And Jitter" (2015).
package struct RetryDelays: Sendable {
    /// How a wait is drawn.
    package enum Jitter: Sendable {
        /// From zero up.
        case full
        /// A part more or less.
        case about(Double)
    }

    private let base: Duration
    private let cap: Duration
    private let jitter: Jitter
    private var attempt = 0

    /// The n-th wait is drawn around or below `base` times 2 to the n, but never above `cap`.
    package init(
        base: Duration = .milliseconds(500),
        cap: Duration = .seconds(30),
        jitter: Jitter = .full
    ) {
        self.base = base
        self.cap = cap
        self.jitter = jitter
    }

    /// The next wait.
    package mutating func next(using generator: inout some RandomNumberGenerator) -> Duration {
        let most = min(cap, base * (1 << min(attempt, 20)))
        attempt += 1
        return switch jitter {
        case .full: most * Double.random(in: 0...1, using: &generator)
        case .about(let part):
            min(cap, most * Double.random(in: 1 - part...1 + part, using: &generator))
        }
    }
}
