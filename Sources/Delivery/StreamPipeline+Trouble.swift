internal import Logging
internal import Platform
internal import Records

/// What is done where nothing helps but another try.
extension StreamPipeline {
    /// What can only fail for want of disk, of a key or the like, and is tried until it works.
    struct Trouble: Error {
        var message: Logger.Message
        var cause: any Error
    }

    static let troubleDelays = RetryDelays(base: .seconds(5), cap: .seconds(60))

    func trying<Value: Sendable>(
        _ message: Logger.Message,
        _ work: () async throws -> Value
    ) async throws -> Value {
        do {
            return try await work()
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            throw Trouble(message: message, cause: error)
        }
    }

    /// Repeats `work`, with pauses, while it has `Trouble`.
    func overTrouble(_ work: () async throws -> Void) async throws {
        var delays = Self.troubleDelays
        var generator = SystemRandomNumberGenerator()
        while true {
            do {
                return try await work()
            } catch let trouble as Trouble {
                logger.error(trouble.message, metadata: ["error": "\(trouble.cause)"])
                try Task.checkCancellation()
                await pause(.seconds(2) + delays.next(using: &generator))
            }
        }
    }

    /// Repeats what can only fail for want of disk or the like, until it works.
    func untilDone<Value: Sendable>(
        _ trouble: Logger.Message,
        _ work: () async throws -> Value
    ) async throws -> Value {
        while true {
            do {
                return try await work()
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                logger.error(trouble, metadata: ["error": "\(error)"])
                try Task.checkCancellation()
                await pause(.seconds(5))
            }
        }
    }

    /// Makes a changed journal entry durable.
    func write(_ entry: JournalEntry) async throws {
        try await untilDone("the journal cannot be written") { [self] in
            try await shared.diskThreads.run { [self] _ in try journal.add(entry) }
        }
    }

    /// Says how long to go on; a server that was down for long tries for a while before it gives up.
    ///
    /// - Parameters:
    ///   - duration: The whole.
    ///   - used: What was used of it.
    ///   - now: The time.
    /// - Returns: What is left of it.
    func retryTimeLeft(_ duration: Duration, used: Duration, now: Timestamp) -> Duration {
        let least = min(.seconds(Limits.minimumRetrySecondsAfterStart), duration / 10)
        return max(duration - used, least - (now - startedAt))
    }

    func pause(_ duration: Duration) async {
        let time = shared.options.time
        try? await time.sleep(until: time.now() + duration)  // cancellation shows in the loop
    }
}
