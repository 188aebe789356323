package import Records
internal import Synchronization

/// A clock that moves when a test says so.
package final class ManualTime: TimeSource {
    private struct State {
        var now: Timestamp
        /// How far the time was set forward or back.
        var offset: Duration = .zero
        var sleepers: [Int: (until: Timestamp, continuation: CheckedContinuation<Void, any Error>)]
        var lastSleeper = 0
        var isSkipping = false
        var watchers: [Int: (count: Int, continuation: CheckedContinuation<Void, Never>)] = [:]
        var lastWatcher = 0
    }
    private let state: Mutex<State>
    /// Where the wall and the monotonic clock began.
    private let start: (wall: Timestamp, instant: ContinuousClock.Instant)

    /// A clock that shows `milliseconds` since the epoch; by default 2026-07-13T14:05:06.789Z.
    package init(milliseconds: Int64 = 1_783_951_506_789) {
        let now = Timestamp(milliseconds: milliseconds)
        state = Mutex(State(now: now, sleepers: [:]))
        start = (now, .now)
    }

    package func now() -> Timestamp { state.withLock { $0.now + $0.offset } }

    package func steady() -> Timestamp { state.withLock { $0.now } }

    package func instant() -> ContinuousClock.Instant { start.instant + (steady() - start.wall) }

    package func sleep(for duration: Duration) async throws {
        try await sleep(until: steady() + duration)
    }

    /// Sets the time forward or back; no time goes by.
    package func set(by duration: Duration) { state.withLock { $0.offset += duration } }

    /// Whether the clock jumps to where a sleep ends, as soon as somebody sleeps.
    package var skipsSleeps: Bool {
        get { state.withLock { $0.isSkipping } }
        set {
            state.withLock { $0.isSkipping = newValue }
            if newValue, let last = state.withLock({ $0.sleepers.values.map(\.until).max() }) {
                advance(by: max(.zero, last - steady()))
            }
        }
    }

    package func sleep(until moment: Timestamp) async throws {
        let number = state.withLock { state in
            state.lastSleeper += 1
            return state.lastSleeper
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let (isOver, watchers) = state.withLock { state in
                    if state.isSkipping { state.now = max(state.now, moment) }
                    if state.now >= moment || Task.isCancelled {
                        return (true, [CheckedContinuation<Void, Never>]())
                    }
                    state.sleepers[number] = (moment, continuation)
                    return (false, Self.satisfied(&state))
                }
                for watcher in watchers { watcher.resume() }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            let sleeper = state.withLock { $0.sleepers.removeValue(forKey: number) }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
        try Task.checkCancellation()
    }

    /// Moves the clock forward and wakes who waited for it.
    package func advance(by duration: Duration) {
        let due = state.withLock { state in
            state.now = state.now + duration
            let due = state.sleepers.filter { $0.value.until <= state.now }
            for number in due.keys { state.sleepers[number] = nil }
            return due.values.sorted { $0.until < $1.until }
        }
        for sleeper in due { sleeper.continuation.resume() }
    }

    /// Waits until at least `count` tasks sleep, or for the task's cancellation: a test whose time is over
    /// fails, and does not hang.
    package func whenSleepers(_ count: Int = 1) async {
        let number = state.withLock { state in
            state.lastWatcher += 1
            return state.lastWatcher
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.sleepers.count >= count || Task.isCancelled { return true }
                    state.watchers[number] = (count, continuation)
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            let watcher = state.withLock { $0.watchers.removeValue(forKey: number) }
            watcher?.continuation.resume()
        }
    }

    private static func satisfied(_ state: inout State) -> [CheckedContinuation<Void, Never>] {
        let count = state.sleepers.count
        let ready = state.watchers.filter { $0.value.count <= count }
        for number in ready.keys { state.watchers[number] = nil }
        return ready.values.map(\.continuation)
    }
}
