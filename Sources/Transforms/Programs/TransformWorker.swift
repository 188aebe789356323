internal import Platform
internal import Records

/// A process that takes one invocation after the other.
protocol TransformWorker: Sendable {
    /// Whether it can take another invocation.
    var isAlive: Bool { get }
    /// Makes an invocation.
    ///
    /// - Throws: `InvocationFailure`; then the worker is not to be used again.
    func invoke(_ event: TransformEvent) async throws(InvocationFailure) -> Block
    /// Ends it: what it can finish by itself within the grace, then by force.
    func end() async
    /// Ends it now.
    func terminate()
}

/// A process that takes events through its standard streams: one, or one a line.
struct PipeWorker: TransformWorker {
    private let child: ChildProcess
    private let end: PipeExchange.End
    private let timeout: Duration
    private let time: any TimeSource

    init(
        _ program: TransformProgram,
        environment: [String: String],
        host: TransformHost,
        source: OutputLog.Source
    ) async throws(InvocationFailure) {
        child = try await .start(
            program,
            environment: environment,
            output: .pipe,
            host: host,
            source: source
        )
        end = program.mode == .once ? .process : .line
        timeout = program.timeout
        time = host.time
    }

    var isAlive: Bool { child.end == nil }

    func invoke(_ event: TransformEvent) async throws(InvocationFailure) -> Block {
        let timer = Task {
            try await time.sleep(for: timeout)
            child.giveUp()
        }
        defer { timer.cancel() }
        return try await PipeExchange.run(
            child,
            event,
            end,
            limit: TransformLimits.maximumResponseBytes
        )
    }

    func end() async {
        child.closeInput()
        await child.endWithinGrace()
    }

    func terminate() { child.terminate() }
}

extension ChildProcess {
    /// Waits until it has ended by itself, for the grace; then ends it.
    func endWithinGrace() async {
        let reminder = Task {
            try await time.sleep(for: Self.grace)
            terminate()
        }
        await ended()
        reminder.cancel()
    }
}

/// The sizes that bound an invocation.
package enum TransformLimits {
    /// Bytes of an event (AWS Lambda, "Quotas": 6 MB for a synchronous request).
    package static let maximumRequestBytes = 6 * 1024 * 1024
    /// Bytes of a response (the same; Lambda's own message names this number).
    package static let maximumResponseBytes = 6_291_556
    /// How long a warm process may have nothing to do.
    static let maximumIdle: Duration = .seconds(300)
    /// How often that is looked at.
    static let idleCheckInterval: Duration = .seconds(30)
}
