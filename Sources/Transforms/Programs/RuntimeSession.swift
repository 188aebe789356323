internal import Platform
internal import Records
internal import Synchronization

/// What AWS's Lambda Runtime API says to one process, and what the process says to it.
///
/// Source: AWS Lambda developer guide, "Using the Lambda runtime API for custom runtimes", version
/// 2018-06-01.
final class RuntimeSession: Sendable {
    /// An invocation as the process gets it.
    struct Invocation: Sendable {
        var requestID: String
        var event: TransformEvent
        var deadline: Timestamp
    }

    /// What a report is answered with.
    enum Verdict: Equatable {
        case accepted
        /// The request id is not the current invocation's.
        case unknownRequest
    }

    private typealias Outcome = Result<Block, InvocationFailure>

    private struct State {
        /// A process that waits for its next invocation.
        var waiting: (token: Int, answer: @Sendable (Invocation) -> Void)?
        var lastToken = 0
        /// Not handed over yet.
        var pending: Invocation?
        var currentID: String?
        var outcome: Outcome?
        /// Drops the answer to it that is being received.
        var drop: (@Sendable () -> Void)?
        var waiter: CheckedContinuation<Result<Block, InvocationFailure>, Never>?
        /// Why no invocation can succeed any more.
        var failure: InvocationFailure?
    }

    private let state = Mutex(State())

    /// Hands an invocation to the process and waits for what it reports, or for `fail`.
    func invoke(_ invocation: Invocation) async throws(InvocationFailure) -> Block {
        let answer = state.withLock { state -> (@Sendable (Invocation) -> Void)? in
            state.currentID = invocation.requestID
            state.drop = nil
            state.outcome = state.failure.map { .failure($0) }
            guard state.failure == nil else { return nil }
            defer { state.waiting = nil }
            if state.waiting == nil { state.pending = invocation }
            return state.waiting?.answer
        }
        answer?(invocation)
        let result = await withCheckedContinuation { continuation in
            let outcome = state.withLock { state in
                if state.outcome == nil { state.waiter = continuation }
                return state.outcome
            }
            if let outcome { continuation.resume(returning: outcome) }
        }
        state.withLock { state in
            state.currentID = nil
            state.pending = nil
        }
        return try result.get()
    }

    /// The process asks for its next invocation, which `answer` gets, perhaps much later.
    ///
    /// - Returns: What `forget` takes.
    func next(_ answer: @escaping @Sendable (Invocation) -> Void) -> Int {
        let (token, pending) = state.withLock { state in
            state.lastToken += 1
            defer { state.pending = nil }
            if state.pending == nil { state.waiting = (state.lastToken, answer) }
            return (state.lastToken, state.pending)
        }
        if let pending { answer(pending) }
        return token
    }

    /// Nobody waits any more for what `next` gave the number of.
    func forget(_ token: Int) {
        state.withLock { if $0.waiting?.token == token { $0.waiting = nil } }
    }

    /// An invocation that could not be handed over, because who asked for it is gone, waits for the
    /// next one who asks.
    func giveBack(_ invocation: Invocation) {
        let answer = state.withLock { state -> (@Sendable (Invocation) -> Void)? in
            guard state.currentID == invocation.requestID, state.outcome == nil else { return nil }
            defer { state.waiting = nil }
            if state.waiting == nil { state.pending = invocation }
            return state.waiting?.answer
        }
        answer?(invocation)
    }

    /// An answer to an invocation begins to come; false where none is expected.
    ///
    /// Only one is kept in memory: of another that is on its way, `drop` was given, and is called.
    func beginAnswer(_ requestID: String, drop: @escaping @Sendable () -> Void) -> Bool {
        let (isExpected, former) = state.withLock { state in
            guard state.currentID == requestID, state.outcome == nil, state.pending == nil else {
                return (false, nil as (@Sendable () -> Void)?)
            }
            defer { state.drop = drop }
            return (true, state.drop)
        }
        former?()
        return isExpected
    }

    /// The process answers an invocation, or says that it failed; `evenIfPending`, one that it did not
    /// get yet.
    func report(
        _ requestID: String,
        _ outcome: Result<Block, InvocationFailure>,
        evenIfPending: Bool = false
    ) -> Verdict {
        settle(outcome) { state in
            state.currentID == requestID && state.outcome == nil
                && (evenIfPending || state.pending == nil)
        }
    }

    /// The process cannot begin.
    func initializationFailed(_ reason: String) { fail("its initialization failed: \(reason)") }

    /// No invocation can succeed any more; the first reason counts.
    func fail(_ reason: String) {
        let failure = InvocationFailure(.functionError, reason)
        _ = settle(.failure(failure)) { state in
            if state.failure == nil { state.failure = failure }
            return state.currentID != nil && state.outcome == nil
        }
    }

    private func settle(_ outcome: Outcome, if isMeant: (inout State) -> Bool) -> Verdict {
        let (verdict, waiter) = state.withLock { state in
            guard isMeant(&state) else { return (Verdict.unknownRequest, nil as Waiter?) }
            state.outcome = outcome
            defer { state.waiter = nil }
            return (.accepted, state.waiter)
        }
        waiter?.resume(returning: outcome)
        return verdict
    }

    private typealias Waiter = CheckedContinuation<Result<Block, InvocationFailure>, Never>
}
