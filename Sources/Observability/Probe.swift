package import Platform
internal import Synchronization

/// Finds out by trying whether something works, not more than once at a time, and without being held up
/// by a try that hangs.
package final class Probe: Sendable {
    private struct State {
        var runningSince: ContinuousClock.Instant?
        var endedAt: ContinuousClock.Instant?
        var reason: String?
    }
    private let state = Mutex(State())
    private let threads: WorkerThreads
    private let interval: Duration
    private let patience: Duration
    private let work: @Sendable () throws -> Void

    /// A probe.
    ///
    /// - Parameters:
    ///   - threads: Where it runs.
    ///   - interval: How long its result is good for.
    ///   - patience: How long a try may take before it counts as failed.
    ///   - work: Throws what is wrong. Blocks.
    package init(
        on threads: WorkerThreads,
        interval: Duration = .seconds(1),
        patience: Duration = .seconds(10),
        work: @escaping @Sendable () throws -> Void
    ) {
        self.threads = threads
        self.interval = interval
        self.patience = patience
        self.work = work
    }

    /// Why it does not work, for the operator; nil where it does.
    ///
    /// Returns within some 2 seconds.
    package func failure() async -> String? {
        begin()
        for _ in 0..<100 where state.withLock({ $0.runningSince != nil }) {
            try? await Task.sleep(for: .milliseconds(20))  // cancelled, it answers at once
        }
        return state.withLock { state in
            guard let since = state.runningSince else { return state.reason }
            let waited = since.duration(to: .now)
            return waited < patience
                ? state.reason : "it has been waited for since \(waited.components.seconds) s"
        }
    }

    private func begin() {
        let isDue = state.withLock { state in
            let age = state.endedAt?.duration(to: .now) ?? .seconds(Int64.max / 2)
            guard state.runningSince == nil, age >= interval else { return false }
            state.runningSince = .now
            return true
        }
        guard isDue else { return }
        threads.submit { [self] in
            var reason: String?
            do { try work() } catch { reason = "\(error)" }
            state.withLock { state in
                state = State(runningSince: nil, endedAt: .now, reason: reason)
            }
        }
    }
}
