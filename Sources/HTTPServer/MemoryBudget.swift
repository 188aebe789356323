internal import NIOCore
internal import Records
internal import Synchronization

/// Bounds the bytes of request bodies in memory, over all connections; see its state machine.
final class MemoryBudget: Sendable {
    /// A body's share.
    struct Claim: Sendable {
        fileprivate var number: MemoryBudgetStateMachine.Claim
        /// Bytes that the body may come to.
        let limit: Int
        /// Bytes that it is charged for, or waits for.
        fileprivate(set) var held = 0
    }

    private struct State {
        var machine: MemoryBudgetStateMachine
        var promises: [MemoryBudgetStateMachine.Claim: EventLoopPromise<Void>] = [:]
    }
    private let state: Mutex<State>

    init(bytes: Int) {
        state = Mutex(
            State(
                machine: MemoryBudgetStateMachine(
                    // A packed body, and what it unpacks to, or nobody could ever get that.
                    bytes: max(bytes, 2 * Limits.maximumRequestBodyBytes),
                    bytesForSmall: Limits.smallRequestBodiesInMemoryBytes,
                    largestSmall: Limits.smallRequestBodyBytes
                )
            )
        )
    }

    /// True while somebody waits for room.
    var isWaitedFor: Bool { state.withLock { $0.machine.isWaitedFor } }

    /// A body that may come to `limit` bytes, and has none yet.
    func claim(limit: Int) -> Claim {
        Claim(number: state.withLock { $0.machine.begin(limit: limit) }, limit: limit)
    }

    /// Charges a body for `bytes` in all: nil where they are there, a future where they will be.
    func grow(
        _ claim: inout Claim,
        to bytes: Int,
        on eventLoop: any EventLoop
    ) -> EventLoopFuture<Void>? {
        guard bytes > claim.held else { return nil }
        claim.held = bytes
        let number = claim.number
        return state.withLock { state in
            if state.machine.grow(number, to: bytes) { return nil }
            let promise = eventLoop.makePromise(of: Void.self)
            state.promises[number] = promise
            return promise.futureResult
        }
    }

    /// The body is gone, whether it held memory or waited for some, and those are let in that there is room
    /// for now.
    func release(_ claim: Claim) {
        let (gone, ready) = state.withLock { state in
            let gone = state.promises.removeValue(forKey: claim.number)
            let ready = state.machine.end(claim.number)
            return (gone, ready.compactMap { state.promises.removeValue(forKey: $0) })
        }
        // The handler that waited finds its claim released.
        for promise in ready + [gone].compactMap(\.self) { promise.succeed(()) }
    }
}
