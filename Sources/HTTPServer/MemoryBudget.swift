internal import NIOCore
internal import Synchronization

/// Bounds the bytes of request bodies in memory, over all connections: who finds no room waits its
/// turn, first come, first served.
final class MemoryBudget: Sendable {
    private struct State {
        var free: Int
        var waiting: CircularBuffer<(bytes: Int, promise: EventLoopPromise<Void>)> = []
    }
    private let total: Int
    private let state: Mutex<State>

    init(bytes: Int) {
        total = bytes
        state = Mutex(State(free: bytes))
    }

    /// True while somebody waits for room.
    var isWaitedFor: Bool { state.withLock { !$0.waiting.isEmpty } }

    /// Takes `bytes`, which are returned with `release`: nil where they are there, a future where
    /// they will be.
    func acquire(_ bytes: Int, on eventLoop: any EventLoop) -> EventLoopFuture<Void>? {
        precondition(bytes <= total)
        return state.withLock { state in
            if state.waiting.isEmpty, state.free >= bytes {
                state.free -= bytes
                return nil
            }
            let promise = eventLoop.makePromise(of: Void.self)
            state.waiting.append((bytes, promise))
            return promise.futureResult
        }
    }

    /// Returns bytes, and lets those in that they are enough for.
    func release(_ bytes: Int) {
        let ready = state.withLock { state in
            state.free += bytes
            var ready: [EventLoopPromise<Void>] = []
            while let first = state.waiting.first, first.bytes <= state.free {
                state.free -= first.bytes
                ready.append(first.promise)
                state.waiting.removeFirst()
            }
            return ready
        }
        for promise in ready { promise.succeed(()) }
    }
}
