internal import Records
internal import Synchronization
internal import TestSupport

/// How a destination meets one attempt.
enum ConformanceStep: Sendable {
    /// It takes all.
    case accept
    /// It takes all but the records that are `bad`; one that judges whole requests takes none of theirs.
    case rejectBad
    /// It refuses the request as a whole, as a server does that is busy.
    case refuse
    /// The connection is reset in place of an answer.
    case reset
    /// The connection ends in the middle of the answer.
    case cut
    /// It does not answer.
    case silence
    /// It answers for more records than there were.
    case wrongCount
    /// It answers with something that is no JSON.
    case notJSON
    /// It answers with a gigabyte.
    case flood
    /// It takes all, and never says that it has it.
    case unconfirmed
}

/// What a destination does next, and what came to it.
final class ConformanceScript: Sendable {
    /// An attempt that arrived.
    struct Attempt: Sendable, Equatable {
        /// What the request is known by; the same over retries and restarts.
        var identity: String
        /// What it carried.
        var records: [String]
    }
    private struct State {
        var steps: [ConformanceStep]
        var attempts: [Attempt] = []
        var accepted: [String] = []
    }
    private let state: Mutex<State>
    private let afterwards: ConformanceStep

    /// Goes through some steps, and then does the same for ever.
    init(_ steps: [ConformanceStep], afterwards: ConformanceStep) {
        state = Mutex(State(steps: steps))
        self.afterwards = afterwards
    }

    /// The records that were taken, in the order in which they came.
    var accepted: [String] { state.withLock { $0.accepted } }

    /// All attempts, whatever became of them.
    var attempts: [Attempt] { state.withLock { $0.attempts } }

    /// An attempt has arrived.
    ///
    /// - Parameters:
    ///   - attempt: What it is.
    ///   - judgesRecords: Whether some of its records may be taken and others not.
    /// - Returns: What is done with it.
    func next(_ attempt: Attempt, judgesRecords: Bool) -> ConformanceStep {
        state.withLock { state in
            state.attempts.append(attempt)
            let step = state.steps.isEmpty ? afterwards : state.steps.removeFirst()
            switch step {
            case .accept: state.accepted += attempt.records
            case .rejectBad:
                let good = attempt.records.filter { !Conformance.isBad($0) }
                if judgesRecords || good.count == attempt.records.count { state.accepted += good }
            default: break
            }
            return step
        }
    }
}

/// A kind of destination that the suite is run against.
protocol ConformanceSubject: Sendable {
    /// What it is called.
    var name: String { get }
    /// The kind that it is.
    var kind: DestinationKind { get }
    /// What it cannot meet with, and why.
    var exceptions: [ConformanceCase: String] { get }
    /// Whether it may take some records of a request and refuse others.
    var judgesRecords: Bool { get }

    /// Makes one that does as the script says.
    func start(
        _ script: ConformanceScript,
        retrySeconds: Int,
        time: ManualTime
    ) async throws -> any ConformanceTarget
}

/// A destination that runs.
protocol ConformanceTarget: Sendable {
    /// What the server delivers through.
    var parts: DeliveryHarness.Parts { get }
    /// What the stream is configured with.
    var destination: DestinationConfiguration { get }
    /// Objects of failed records, where they do not go to this server's disk.
    var failures: ScriptedStore? { get }
    /// Records that were given up, where they are at the destination's own bucket.
    var failedRecords: [String]? { get }
    /// Bytes that it sent in answers without an end.
    var flooded: Int { get }

    /// Listens no more.
    func close() async throws
    /// Ends.
    func stop() async throws
}
