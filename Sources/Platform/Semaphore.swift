internal import Synchronization

/// A number of permits that tasks acquire and release; who finds too few free waits, first come, first
/// served.
package final class Semaphore: Sendable {
    private struct State {
        var free: Int
        var lastTicket = 0
        var waiting: [Waiter] = []
    }
    private struct Waiter {
        var ticket: Int
        var count: Int
        var continuation: CheckedContinuation<Bool, Never>
    }
    private let total: Int
    private let state: Mutex<State>

    /// So many permits, all free.
    package init(_ count: Int) {
        total = count
        state = Mutex(State(free: count))
    }

    /// True while somebody waits for a permit.
    package var isWaitedFor: Bool { state.withLock { !$0.waiting.isEmpty } }

    /// Acquires permits, all of them where `wanted` is more.
    ///
    /// Throws `CancellationError` without one.
    ///
    /// - Returns: How many to release.
    @discardableResult
    package func acquire(_ wanted: Int = 1) async throws -> Int {
        let count = min(wanted, total)
        let ticket = state.withLock { state in
            state.lastTicket += 1
            return state.lastTicket
        }
        let isTaken = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: Bool? = state.withLock { state in
                    if Task.isCancelled { return false }
                    if state.waiting.isEmpty, state.free >= count {
                        state.free -= count
                        return true
                    }
                    state.waiting.append(
                        Waiter(ticket: ticket, count: count, continuation: continuation)
                    )
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let (waiter, ready) = state.withLock { state in
                let index = state.waiting.firstIndex { $0.ticket == ticket }
                let waiter = index.map { state.waiting.remove(at: $0).continuation }
                // Those behind it may want less.
                return (waiter, Self.admit(&state))
            }
            waiter?.resume(returning: false)
            for continuation in ready { continuation.resume(returning: true) }
        }
        guard isTaken else { throw CancellationError() }
        return count
    }

    /// Acquires a permit that is free, and waits for none.
    package func acquireNow() -> Bool {
        state.withLock { state in
            guard state.waiting.isEmpty, state.free > 0 else { return false }
            state.free -= 1
            return true
        }
    }

    /// Releases permits.
    package func release(_ count: Int = 1) {
        let ready = state.withLock { state in
            state.free += count
            return Self.admit(&state)
        }
        for continuation in ready { continuation.resume(returning: true) }
    }

    /// Runs what needs permits, and releases them whatever comes of it.
    package func holding<Value>(
        _ count: Int = 1,
        _ work: () async throws -> Value
    ) async throws -> Value {
        let acquired = try await acquire(count)
        defer { release(acquired) }
        return try await work()
    }

    private static func admit(_ state: inout State) -> [CheckedContinuation<Bool, Never>] {
        var ready: [CheckedContinuation<Bool, Never>] = []
        while let first = state.waiting.first, first.count <= state.free {
            state.free -= first.count
            ready.append(first.continuation)
            state.waiting.removeFirst()
        }
        return ready
    }
}
