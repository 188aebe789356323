package import Destinations
package import Records

/// Decides how a stored object is loaded into a warehouse once: what must be durable before a COPY runs,
/// which attempts are one and the same for the ledger, and when its manifest is left for a back-fill.
///
/// Pure: it says what to do (`next`) and is told what came of it.
///
/// An attempt has a number, which is durable before it runs; one whose end is not known keeps its number,
/// so that the ledger knows it again.
package struct WarehouseLoadStateMachine: Sendable {
    /// What to do next; `done` when it is, where nothing else is said.
    package enum Action: Equatable, Sendable {
        /// Wait until a COPY may run; call `began`.
        case begin
        /// Write down how far the load has come.
        case note(LoadState)
        /// Run COPY as the attempt of that number; call `ended`.
        case run(number: Int)
        /// Wait before the next attempt.
        case wait(RetryWait)
        /// Leave the manifest where a back-fill finds it.
        case leaveManifest(LoadState.GivenUp)
        /// Nothing is left to do.
        case settle
    }

    /// How far the load has come.
    package private(set) var state: LoadState
    private var actions: [Action]
    private let serverStart: Timestamp
    private var duration: Duration = .zero
    private var wasOpen = false

    /// Goes on from a journalled state; where nothing loads here any more, what was tried is left for a
    /// back-fill.
    package init(_ state: LoadState, serverStart: Timestamp, isActive: Bool) {
        self.state = state
        self.serverStart = serverStart
        if let givenUp = state.givenUp {
            actions = [.leaveManifest(givenUp)]
        } else if isActive {
            actions = [.begin]
        } else if state.attempts > 0 {
            let givenUp = LoadState.GivenUp(
                code: "Redshift.InternalError",
                message: "this server loads nothing (--copy none)"
            )
            self.state.givenUp = givenUp
            actions = [.note(self.state), .leaveManifest(givenUp)]
        } else {
            actions = [.settle]
        }
    }

    /// What to do next.
    package var next: Action { actions[0] }

    /// What `next` said is done.
    package mutating func done() {
        switch actions.removeFirst() {
        case .wait: actions = [.begin]
        case .leaveManifest, .settle: actions = [.settle]
        case .begin, .note, .run: break
        }
    }

    /// COPY may run now; `duration` is how long it is tried.
    package mutating func began(now: Timestamp, duration: Duration) {
        self.duration = duration
        state.attempts += 1
        state.firstAttempt = state.firstAttempt ?? now
        wasOpen = state.isOpen
        if !state.isOpen {
            state.number += 1
            state.isOpen = true
        }
        actions = [.note(state), .run(number: state.number)]
    }

    /// What a COPY came to.
    ///
    /// - Returns: Why it failed; nil where all is loaded.
    package mutating func ended(_ outcome: CopyService.Outcome, now: Timestamp) -> DeliveryFailure?
    {
        let failure: DeliveryFailure
        switch outcome {
        case .loaded, .loadedBefore:
            actions = [.settle]
            return nil
        case .failed(let reason):
            failure = reason
            state.isOpen = false
        case .notRun(let reason):
            failure = reason
            state.isOpen = wasOpen
        case .unknown(let reason):
            failure = reason
        }
        let left = timeLeft(now)
        guard left > .zero else {
            let givenUp = LoadState.GivenUp(code: failure.code, message: failure.message)
            state.givenUp = givenUp
            actions = [.note(state), .leaveManifest(givenUp)]
            return failure
        }
        actions = [.note(state), .wait(RetryWait(most: left))]
        return failure
    }

    private func timeLeft(_ now: Timestamp) -> Duration {
        guard let first = state.firstAttempt, duration > .zero else { return .zero }
        return RetryAllowance(duration, serverStart: serverStart).left(used: now - first, now: now)
    }
}
