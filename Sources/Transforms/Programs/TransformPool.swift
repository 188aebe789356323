internal import Foundation
package import Platform
internal import Records
internal import Synchronization

/// One stream's transform: its warm processes, and its invocations.
package final class TransformPool: Sendable {
    private let name: String
    private let host: TransformHost
    private let functionARN: String
    private let stream: String
    private let source: OutputLog.Source
    private let onStart: @Sendable () -> Void
    private let state = Mutex(State())

    private struct State {
        var idle: [Idle] = []
        /// Those that work, by number, so that they can be ended.
        var busy: [Int: any TransformWorker] = [:]
        var lastNumber = 0
        var isClosed = false
    }

    /// How many processes there are.
    package struct Processes: Sendable {
        /// In an invocation.
        package var busy: Int
        /// Warm.
        package var idle: Int

        /// So many of each.
        package init(busy: Int, idle: Int) {
            self.busy = busy
            self.idle = idle
        }
    }

    private struct Idle {
        var worker: any TransformWorker
        var program: TransformProgram
        var invocations: Int
        var since: ContinuousClock.Instant
    }

    init(
        _ name: String,
        stream: String,
        functionARN: String,
        host: TransformHost,
        onStart: @escaping @Sendable () -> Void
    ) {
        self.onStart = onStart
        self.name = name
        self.stream = stream
        self.functionARN = functionARN
        self.host = host
        source = OutputLog.Source(stream: stream, transform: name)
    }

    /// Invocations that are wanted at one time; a guess where there is no program at the moment.
    package var concurrency: Int { (try? host.folder.program(name))?.concurrency ?? 1 }

    /// Its processes now.
    package var processes: Processes {
        state.withLock { Processes(busy: $0.busy.count, idle: $0.idle.count) }
    }

    /// Makes one invocation.
    ///
    /// - Returns: The response, as it came.
    /// - Throws: `InvocationFailure`; `CancellationError` where the task is cancelled or the pool is
    ///   closed.
    package func invoke(_ event: TransformEvent) async throws -> Block {
        try Task.checkCancellation()
        let program: TransformProgram
        do throws(TransformProgram.Failure) {
            program = try host.folder.program(name)
        } catch {
            throw InvocationFailure(.resourceNotFound, error.description)
        }
        if program.mode == .once {
            let worker = try await start(program)
            return try await working(worker) { () throws(InvocationFailure) in
                try await worker.invoke(event)
            }
        }
        var idle = takeIdle(program)
        if idle == nil {
            idle = Idle(
                worker: try await start(program),
                program: program,
                invocations: 0,
                since: host.time.instant()
            )
        }
        guard var idle else { throw CancellationError() }
        let worker = idle.worker
        let result: Result<Block, InvocationFailure>
        do {
            result = .success(
                try await working(worker) { () throws(InvocationFailure) in
                    try await worker.invoke(event)
                }
            )
        } catch let failure as InvocationFailure where !failure.endsProcess {
            result = .failure(failure)
        } catch let failure as InvocationFailure where !failure.hasBegun && idle.invocations > 0 {
            // It ended by itself between two events, which is no failure of this one.
            return try await invoke(event)
        }
        idle.invocations += 1
        idle.since = host.time.instant()
        if idle.invocations < program.recycleAfter, giveBack(idle) {
            host.processIsIdle()
        } else {
            Task { await worker.end() }
        }
        return try result.get()
    }

    /// Runs `work`, in which a worker can be ended from outside; one that fails is ended.
    private func working(
        _ worker: any TransformWorker,
        _ work: () async throws(InvocationFailure) -> Block
    ) async throws -> Block {
        let (number, isClosed) = state.withLock { state in
            state.lastNumber += 1
            state.busy[state.lastNumber] = worker
            return (state.lastNumber, state.isClosed)
        }
        defer { state.withLock { $0.busy[number] = nil } }
        if isClosed { worker.terminate() }
        do {
            return try await withTaskCancellationHandler {
                try await work()
            } onCancel: {
                worker.terminate()
            }
        } catch {
            if (error as? InvocationFailure)?.endsProcess ?? true { worker.terminate() }
            if Task.isCancelled || state.withLock({ $0.isClosed }) { throw CancellationError() }
            throw error
        }
    }

    private func takeIdle(_ program: TransformProgram) -> Idle? {
        while true {
            guard let idle = state.withLock({ $0.idle.popLast() }) else { return nil }
            if idle.worker.isAlive, idle.program == program { return idle }
            Task { await idle.worker.end() }
        }
    }

    private func giveBack(_ idle: Idle) -> Bool {
        state.withLock { state in
            guard !state.isClosed else { return false }
            state.idle.append(idle)
            return true
        }
    }

    // MARK: Processes

    private func start(_ program: TransformProgram) async throws -> any TransformWorker {
        try await host.acquireProcess()
        onStart()
        let environment = environment(program)
        switch program.mode {
        case .once, .worker:
            return try await PipeWorker(
                program,
                environment: environment,
                host: host,
                source: source
            )
        case .lambda:
            return try await LambdaWorker(
                program,
                environment: environment,
                functionARN: functionARN,
                host: host,
                source: source
            )
        }
    }

    private func environment(_ program: TransformProgram) -> [String: String] {
        var environment = [
            "PATH": TransformProgram.searchPath, "LANG": "C.UTF-8", "HYDRANT_STREAM": stream,
            "HYDRANT_TRANSFORM": name,
        ]
        if program.mode == .lambda {
            let names = [
                "_HANDLER": program.command.last ?? "", "LAMBDA_TASK_ROOT": program.folder,
                "AWS_LAMBDA_FUNCTION_NAME": name, "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": String(program.memoryMiB),
                "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
                "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/\(name)",
                "AWS_LAMBDA_LOG_STREAM_NAME": stream, "AWS_REGION": host.identity.region,
                "AWS_DEFAULT_REGION": host.identity.region, "TZ": ":UTC",
            ]
            environment.merge(names) { _, new in new }
        }
        for (name, value) in program.environment {
            environment[name] = value ?? TransformProgram.variable(name)
        }
        return environment
    }

    /// Since when a process has had nothing to do; nil where all have.
    var idleSince: ContinuousClock.Instant? {
        state.withLock { $0.idle.map(\.since).min() }
    }

    /// Ends the warm process that has had nothing to do for longest.
    func endLongestIdle() {
        let idle = state.withLock { state in
            let index = state.idle.indices.min { state.idle[$0].since < state.idle[$1].since }
            return index.map { state.idle.remove(at: $0) }
        }
        if let idle { Task { await idle.worker.end() } }
    }

    /// Ends warm processes that had nothing to do for long.
    func endIdle(since limit: ContinuousClock.Instant) {
        let old = state.withLock { state in
            let old = state.idle.filter { $0.since < limit }
            state.idle.removeAll { $0.since < limit }
            return old
        }
        for idle in old { Task { await idle.worker.end() } }
    }

    /// Ends all its processes, and refuses invocations from now on.
    package func close() async {
        let (idle, busy) = state.withLock { state in
            defer { state.idle = [] }
            state.isClosed = true
            return (state.idle, Array(state.busy.values))
        }
        host.forget(self)
        await withDiscardingTaskGroup { group in
            for worker in busy {
                worker.terminate()
                group.addTask { await worker.end() }
            }
            for idle in idle { group.addTask { await idle.worker.end() } }
        }
    }
}
