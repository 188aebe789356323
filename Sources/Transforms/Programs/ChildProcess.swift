internal import Glibc
internal import Platform
internal import Records
internal import Subprocess
internal import Synchronization
internal import SystemPackage

/// One process of a transform, in a process group of its own.
///
/// When the process ends, whatever it left in its group is killed. Its standard error goes to the log.
final class ChildProcess: Sendable {
    /// How long a process has between SIGTERM and SIGKILL.
    static let grace: Duration = .seconds(2)

    /// Where standard output goes.
    enum Output {
        /// To whoever reads `output`.
        case pipe
        /// To the log, as standard error does.
        case log
    }

    private enum State {
        case starting(CheckedContinuation<Result<Void, InvocationFailure>, Never>?)
        case running(pid_t)
        case ended(String)
    }

    private let state = Mutex(State.starting(nil))
    /// Whether it could not be started for want of descriptors.
    private let lacksFiles = Atomic(false)
    private let endWaiters = Mutex<[CheckedContinuation<Void, Never>]>([])
    /// Our end of its standard input; closed once it is told to be.
    private let inputEnd: Mutex<Int32?>
    /// Our end of its standard output; -1 where that goes to the log.
    let output: Int32
    /// Hangs up when the process has ended or is given up: to be polled beside its pipes.
    let exit: Int32
    private let exitEnd: Mutex<Int32?>
    private let givenUp = Atomic(false)
    let time: any TimeSource

    /// What the process and this server talk through.
    private struct Pipes {
        let input: Pipe
        let output: Pipe
        let error: Pipe
        let exit: Pipe

        /// Nil where too many files are open.
        init?() {
            let pipes = (0..<4).compactMap { _ in Pipe() }
            guard pipes.count == 4 else {
                for pipe in pipes { pipe.closeBoth() }
                return nil
            }
            (input, output, error, exit) = (pipes[0], pipes[1], pipes[2], pipes[3])
            for end in [input.write, output.read] {
                Pipe.enlarge(end)
                Pipe.setNonBlocking(end)
            }
        }
    }

    private init(_ pipes: Pipes, isPiped: Bool, time: any TimeSource) {
        self.time = time
        inputEnd = Mutex(pipes.input.write)
        output = isPiped ? pipes.output.read : -1
        exit = pipes.exit.read
        exitEnd = Mutex(pipes.exit.write)
        if !isPiped { closeInput() }
    }

    deinit {
        closeInput()
        if output >= 0 { close(output) }
        close(exit)
    }

    /// Starts a program, for which the caller has acquired one of the host's `processes`: it is released
    /// when the process has ended.
    ///
    /// - Throws: `InvocationFailure` where it cannot be started.
    static func start(
        _ program: TransformProgram,
        environment: [String: String],
        output kind: Output,
        host: TransformHost,
        source: OutputLog.Source
    ) async throws(InvocationFailure) -> ChildProcess {
        guard let pipes = Pipes() else {
            host.processes.release()
            var failure = InvocationFailure(
                .functionError,
                "no pipe can be made: too many open files"
            )
            failure.isShortage = true
            throw failure
        }
        let child = ChildProcess(pipes, isPiped: kind == .pipe, time: host.time)
        var followed = [host.output.follow(pipes.error.read, source)]
        if kind == .log { followed.append(host.output.follow(pipes.output.read, source)) }
        host.children.add(child)
        let configuration = configuration(program, environment)
        Task { [followed] in
            child.hasEnded(await child.run(configuration, pipes))
            host.children.remove(child)
            host.processes.release()
            host.output.processEnded(followed)
        }
        try await child.untilStarted()
        return child
    }

    /// Runs the program to its end; tells how that was.
    private func run(_ configuration: Configuration, _ pipes: Pipes) async -> String {
        func end(_ descriptor: Int32) -> FileDescriptor { FileDescriptor(rawValue: descriptor) }
        do {
            let result = try await Subprocess.run(
                configuration,
                input: .fileDescriptor(end(pipes.input.read), closeAfterSpawningProcess: true),
                output: .fileDescriptor(end(pipes.output.write), closeAfterSpawningProcess: true),
                error: .fileDescriptor(end(pipes.error.write), closeAfterSpawningProcess: true)
            ) { execution in
                started(execution.processIdentifier.value)
            }
            return Self.text(of: result.terminationStatus)
        } catch {
            let cause = (error as? SubprocessError)?.underlyingError
            let isShortage = cause == .tooManyOpenFiles || cause == .tooManyOpenFilesInSystem
            lacksFiles.store(isShortage, ordering: .relaxed)
            return "it cannot be started: \(error)"
        }
    }

    private func untilStarted() async throws(InvocationFailure) {
        let result = await withCheckedContinuation { continuation in
            let early: Result<Void, InvocationFailure>? = state.withLock { state in
                switch state {
                case .starting:
                    state = .starting(continuation)
                    return nil
                case .running: return .success(())
                case .ended(let reason): return .failure(InvocationFailure(.functionError, reason))
                }
            }
            if let early { continuation.resume(returning: early) }
        }
        do {
            try result.get()
        } catch {
            var failure = error
            failure.isShortage = lacksFiles.load(ordering: .relaxed)
            throw failure
        }
    }

    /// The shell sets the limits, then becomes the program.
    private static func configuration(
        _ program: TransformProgram,
        _ environment: [String: String]
    ) -> Configuration {
        let script = """
            unset PWD OLDPWD SHLVL; ulimit -c 0; ulimit -n \(program.openFiles); ulimit -d \(program.memoryMiB * 1024); \
            exec "$@"
            """
        var options = PlatformOptions()
        options.processGroupID = 0
        var variables: [Environment.Key: String] = [:]
        for (name, value) in environment {
            if let key = Environment.Key(rawValue: name) { variables[key] = value }
        }
        return Configuration(
            executable: .path("/bin/sh"),
            arguments: Arguments(["-c", script, program.name] + program.command),
            environment: .custom(variables),
            workingDirectory: FilePath(program.folder),
            platformOptions: options
        )
    }

    static let success = "it ended with status 0"

    private static func text(of status: TerminationStatus) -> String {
        switch status {
        case .exited(let code): "it ended with status \(code)"
        case .signaled(let signal): "it was ended by signal \(signal)"
        }
    }

    private func started(_ pid: pid_t) {
        let waiter = state.withLock { state in
            guard case .starting(let waiter) = state else { return nil as Waiter? }
            state = .running(pid)
            return waiter
        }
        waiter?.resume(returning: .success(()))
    }

    private typealias Waiter = CheckedContinuation<Result<Void, InvocationFailure>, Never>

    private func hasEnded(_ reason: String) {
        let waiter = state.withLock { state in
            var waiter: Waiter?
            switch state {
            case .starting(let starting): waiter = starting
            // Whatever it started and left behind.
            case .running(let pid): kill(-pid, SIGKILL)
            case .ended: break
            }
            state = .ended(reason)
            return waiter
        }
        waiter?.resume(returning: .failure(InvocationFailure(.functionError, reason)))
        if let end = exitEnd.withLock({ $0.take() }) { close(end) }
        for waiter in endWaiters.withLock({ $0.take() }) { waiter.resume() }
    }

    /// How it ended, or nil while it runs.
    var end: String? {
        state.withLock { if case .ended(let reason) = $0 { reason } else { nil } }
    }

    /// Waits until it has ended.
    func ended() async {
        await withCheckedContinuation { continuation in
            let isOver = endWaiters.withLock { waiters in
                // `hasEnded` sets the state first.
                if end != nil { return true }
                waiters.append(continuation)
                return false
            }
            if isOver { continuation.resume() }
        }
    }

    /// Writes to its standard input as much as goes in now; nil where nobody reads any more.
    func write(_ bytes: UnsafeRawBufferPointer) -> Int? {
        inputEnd.withLock { descriptor in
            guard let open = descriptor else { return nil }
            let count = Glibc.write(open, bytes.baseAddress, bytes.count)
            if count >= 0 { return count }
            return errno == EAGAIN || errno == EINTR ? 0 : nil
        }
    }

    /// Our end of its standard input, to be polled.
    var input: Int32? { inputEnd.withLock { $0 } }

    /// Gives its standard input an end.
    func closeInput() {
        if let descriptor = inputEnd.withLock({ $0.take() }) { close(descriptor) }
    }

    /// Asks its group to end, and kills it a little later.
    func terminate() {
        guard end == nil else { return }
        signal(SIGTERM)
        Task { [weak self, time] in
            // Not cancelled by anybody.
            try? await time.sleep(for: Self.grace)
            self?.signal(SIGKILL)
        }
    }

    /// Nobody waits any more for what it answers; it is to be ended.
    func giveUp() {
        guard let end = exitEnd.withLock({ $0.take() }) else { return }
        givenUp.store(true, ordering: .releasing)
        close(end)
    }

    /// Whether it was given up while it ran.
    var isGivenUp: Bool { givenUp.load(ordering: .acquiring) }

    private func signal(_ number: Int32) {
        state.withLock { if case .running(let pid) = $0 { kill(-pid, number) } }
    }
}

/// All processes that run, so that none outlives the server.
final class RunningChildren: Sendable {
    private let children = Mutex<[ObjectIdentifier: ChildProcess]>([:])

    func add(_ child: ChildProcess) { children.withLock { $0[ObjectIdentifier(child)] = child } }

    func remove(_ child: ChildProcess) {
        children.withLock { _ = $0.removeValue(forKey: ObjectIdentifier(child)) }
    }

    /// Ends them all, and waits for it.
    func end() async {
        await withDiscardingTaskGroup { group in
            for child in children.withLock({ Array($0.values) }) {
                child.terminate()
                group.addTask { await child.ended() }
            }
        }
    }
}

extension Array {
    /// All of it, once.
    fileprivate mutating func take() -> [Element] {
        defer { self = [] }
        return self
    }
}
