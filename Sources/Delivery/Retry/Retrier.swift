package import Logging
package import Records

/// The wait between two attempts, beside what the delays say.
package struct RetryWait: Sendable, Hashable {
    /// The least, as the peer asks (`Retry-After`).
    package var least: Duration
    /// At most so long: the last attempt is at the end of the time, not before.
    package var most: Duration

    /// A wait of whatever the delays say, within bounds.
    package init(least: Duration = .zero, most: Duration = .seconds(Int64.max)) {
        self.least = least
        self.most = most
    }
}

/// Makes attempts, one after the other, with waits between them that grow.
///
/// The only loop over `RetryDelays`: what is tried, when it is given up, and what is logged are the
/// caller's.
package struct Retrier: Sendable {
    /// What comes of an attempt.
    package enum Attempt<Value> {
        /// It was the last.
        case done(Value)
        /// Another follows.
        case again(RetryWait)
    }

    /// What keeps work from going on, for an operator.
    package struct Trouble: Error {
        /// What cannot be done.
        package var message: Logger.Message
        /// Why.
        package var cause: any Error
    }

    private static let leastTroubleWait: Duration = .seconds(2)

    private var delays: RetryDelays
    private let time: any TimeSource

    /// Attempts with these waits between them.
    package init(_ delays: RetryDelays, _ time: any TimeSource) {
        self.delays = delays
        self.time = time
    }

    /// Makes attempts, counted from 1, until one is the last; called again, waits go on where they were.
    ///
    /// - Throws: What an attempt throws; `CancellationError`.
    package mutating func attempts<Value>(
        _ attempt: (_ number: Int) async throws -> Attempt<Value>
    ) async throws -> Value {
        var generator = SystemRandomNumberGenerator()
        var number = 0
        while true {
            number += 1
            switch try await attempt(number) {
            case .done(let value): return value
            case .again(let wait):
                let drawn = delays.next(using: &generator)
                try await time.sleep(for: min(max(drawn, wait.least), wait.most))
            }
        }
    }

    /// Repeats what can only fail for want of disk, of a key or the like, until it works; each failure is
    /// logged.
    ///
    /// - Throws: `CancellationError` alone.
    package mutating func untilDone<Value>(
        _ message: Logger.Message,
        _ logger: Logger,
        _ work: () async throws -> Value
    ) async throws -> Value {
        try await attempts { _ in
            do {
                return .done(try await work())
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                let trouble = error as? Trouble ?? Trouble(message: message, cause: error)
                logger.error(trouble.message, metadata: ["error": "\(trouble.cause)"])
                try Task.checkCancellation()
                return .again(RetryWait(least: Self.leastTroubleWait))
            }
        }
    }
}
