package import Records
internal import Synchronization

/// Wakes one waiting task; a notice that comes while nobody waits is kept.
package final class Signal: Sendable {
    private struct State {
        var isNotified = false
        var waiter: CheckedContinuation<Void, Never>?
    }
    private let state = Mutex(State())

    /// A signal without a notice.
    package init() {}

    /// Wakes the waiter, or the next one.
    package func notify() {
        let waiter = state.withLock { state in
            defer { state.waiter = nil }
            if state.waiter == nil { state.isNotified = true }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Waits for a notice, or for the task's cancellation.
    package func wait() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let goOn = state.withLock { state in
                    if state.isNotified || Task.isCancelled {
                        state.isNotified = false
                        return true
                    }
                    precondition(state.waiter == nil, "one task waits")
                    state.waiter = continuation
                    return false
                }
                if goOn { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.resume()
        }
    }

    /// Waits for a notice, the moment, or cancellation, whichever comes first.
    package func wait(until moment: Timestamp, _ time: any TimeSource) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.wait() }
            group.addTask { try? await time.sleep(until: moment) }  // cancelled: as good as over
            await group.next()
            group.cancelAll()
        }
    }
}
