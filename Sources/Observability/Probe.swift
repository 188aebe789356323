package import Platform
package import Records
internal import Synchronization

/// Finds out by trying whether something works, not more than once at a time, and without being held up
/// by a try that hangs.
package final class Probe: Sendable {
    private struct State {
        var runningSince: ContinuousClock.Instant?
        var endedAt: ContinuousClock.Instant?
        var reason: String?
        /// Who waits for the end of the try.
        var waiting: [Int: Waiter] = [:]
        var lastNumber = 0
    }
    private struct Waiter {
        var continuation: CheckedContinuation<Void, Never>
        var timer: Task<Void, any Error>

        func resume() {
            timer.cancel()
            continuation.resume()
        }
    }
    private let state = Mutex(State())
    private let threads: WorkerThreads
    private let interval: Duration
    private let patience: Duration
    private let time: any TimeSource
    private let work: @Sendable () throws -> Void

    /// How long an answer waits for a try.
    private static let answerTime: Duration = .seconds(2)

    /// A probe.
    ///
    /// - Parameters:
    ///   - threads: Where it runs.
    ///   - interval: How long its result is good for.
    ///   - patience: How long a try may take before it counts as failed.
    ///   - time: The clock.
    ///   - work: Throws what is wrong. Blocks.
    package init(
        on threads: WorkerThreads,
        interval: Duration = .seconds(1),
        patience: Duration = .seconds(10),
        time: any TimeSource,
        work: @escaping @Sendable () throws -> Void
    ) {
        self.threads = threads
        self.interval = interval
        self.patience = patience
        self.time = time
        self.work = work
    }

    /// Why it does not work, for the operator; nil where it does.
    ///
    /// Returns within some 2 seconds, or at once where the task is cancelled.
    package func failure() async -> String? {
        begin()
        await untilEnd()
        let now = time.instant()
        return state.withLock { state in
            guard let since = state.runningSince else { return state.reason }
            let waited = since.duration(to: now)
            return waited < patience
                ? state.reason : "it has been waited for since \(waited.components.seconds) s"
        }
    }

    private func begin() {
        let now = time.instant()
        let isDue = state.withLock { state in
            let age = state.endedAt?.duration(to: now) ?? .seconds(Int64.max / 2)
            guard state.runningSince == nil, age >= interval else { return false }
            state.runningSince = now
            return true
        }
        guard isDue else { return }
        threads.submit { [self] in
            var reason: String?
            do { try work() } catch { reason = "\(error)" }
            let now = time.instant()
            let waiting = state.withLock { state in
                defer {
                    state.runningSince = nil
                    state.endedAt = now
                    state.reason = reason
                    state.waiting = [:]
                }
                return state.waiting.values
            }
            for waiter in waiting { waiter.resume() }
        }
    }

    /// Waits until no try is under way, for the time that an answer has.
    private func untilEnd() async {
        let number = state.withLock { state in
            state.lastNumber += 1
            return state.lastNumber
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let waits = state.withLock { state in
                    guard state.runningSince != nil, !Task.isCancelled else { return false }
                    let timer = Task { [time] in
                        try await time.sleep(for: Self.answerTime)
                        release(number)
                    }
                    state.waiting[number] = Waiter(continuation: continuation, timer: timer)
                    return true
                }
                if !waits { continuation.resume() }
            }
        } onCancel: {
            release(number)
        }
    }

    private func release(_ number: Int) {
        state.withLock { $0.waiting.removeValue(forKey: number) }?.resume()
    }
}
