internal import Platform
internal import Records

/// A warm process behind the Lambda Runtime API.
struct LambdaWorker: TransformWorker {
    private let child: ChildProcess
    private let session: RuntimeSession
    private let api: RuntimeAPI
    private let timeout: Duration
    private let time: any TimeSource

    init(
        _ program: TransformProgram,
        environment: [String: String],
        functionARN: String,
        host: TransformHost,
        source: OutputLog.Source
    ) async throws(InvocationFailure) {
        let session = RuntimeSession()
        do {
            api = try await RuntimeAPI.start(session, functionARN: functionARN)
        } catch {
            throw InvocationFailure(.functionError, "the Runtime API cannot be served: \(error)")
        }
        var environment = environment
        environment["AWS_LAMBDA_RUNTIME_API"] = api.address
        do throws(InvocationFailure) {
            child = try await .start(
                program,
                environment: environment,
                output: .log,
                host: host,
                source: source
            )
        } catch {
            api.stop()
            throw error
        }
        self.session = session
        time = host.time
        timeout = program.timeout
        Task { [child, api] in
            await child.ended()
            session.fail(child.end ?? "it ended")
            api.stop()
        }
    }

    var isAlive: Bool { child.end == nil }

    func invoke(_ event: TransformEvent) async throws(InvocationFailure) -> Block {
        let requestID = UUIDText.random()
        let timer = Task {
            try await time.sleep(for: timeout)
            let late = InvocationFailure(.functionError, "it did not answer in time")
            _ = session.report(requestID, .failure(late), evenIfPending: true)
        }
        defer { timer.cancel() }
        return try await session.invoke(
            RuntimeSession.Invocation(
                requestID: requestID,
                event: event,
                deadline: time.now() + timeout
            )
        )
    }

    func end() async {
        // A runtime has no word for the end: SIGTERM is what Lambda's own gets.
        child.terminate()
        await child.ended()
    }

    func terminate() { child.terminate() }
}
