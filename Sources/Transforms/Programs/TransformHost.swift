internal import Foundation
package import Logging
internal import Platform
package import Records
internal import Synchronization

/// Runs the programs of a folder as transforms.
package final class TransformHost: Sendable {
    let folder: TransformFolder
    let identity: ServiceIdentity
    let output: OutputLog
    let children = RunningChildren()
    /// Bounds the processes of all streams.
    let processes: Platform.Semaphore
    /// How many wait for one, or are about to.
    private let waiting = Atomic(0)
    let time: any TimeSource
    private let pools = Mutex<[ObjectIdentifier: TransformPool]>([:])
    private let reaper = Mutex<Task<Void, Never>?>(nil)

    /// A host of the programs in `folder`, an absolute path, with so many processes at the most.
    package init(
        folder: String,
        identity: ServiceIdentity,
        maximumProcesses: Int = .max,
        time: any TimeSource,
        logger: Logger
    ) {
        self.folder = TransformFolder(folder)
        self.identity = identity
        processes = Platform.Semaphore(maximumProcesses)
        self.time = time
        output = OutputLog(logger: logger, time: time)
    }

    /// Refuses a name that stands for no program that can be run now.
    ///
    /// Blocks, shortly.
    package func check(_ name: String) throws(TransformProgram.Failure) {
        _ = try folder.program(name)
    }

    /// A stream's processes of a transform, none of which is started before it is needed.
    ///
    /// - Parameters:
    ///   - name: The transform's.
    ///   - arn: The function's ARN as the stream names it; a bare name gets one of this server.
    ///   - stream: The stream's name.
    ///   - onStart: Called for each process before it is started.
    /// - Returns: The pool, to be closed by the caller.
    package func pool(
        _ name: String,
        arn: String,
        stream: String,
        onStart: @escaping @Sendable () -> Void = {}
    ) -> TransformPool {
        let functionARN =
            arn.hasPrefix("arn:")
            ? arn : "arn:aws:lambda:\(identity.region):\(identity.account):function:\(name)"
        let pool = TransformPool(
            name,
            stream: stream,
            functionARN: functionARN,
            host: self,
            onStart: onStart
        )
        pools.withLock { $0[ObjectIdentifier(pool)] = pool }
        reaper.withLock { reaper in
            if reaper == nil {
                reaper = Task { [weak self, time] in await Self.reap(time) { self } }
            }
        }
        return pool
    }

    /// Waits until another process may be started; a warm one that has nothing to do goes for it.
    ///
    /// - Throws: `CancellationError` alone.
    func acquireProcess() async throws {
        guard !processes.acquireNow() else { return }
        // Before the look: a process that becomes idle behind it finds that somebody waits.
        waiting.add(1, ordering: .sequentiallyConsistent)
        defer { waiting.subtract(1, ordering: .sequentiallyConsistent) }
        endLongestIdle()
        try await processes.acquire()
    }

    /// Has a process that has become idle end, where others wait for one.
    func processIsIdle() {
        if waiting.load(ordering: .sequentiallyConsistent) > 0 { endLongestIdle() }
    }

    private func endLongestIdle() {
        let idle = pools.withLock { Array($0.values) }.compactMap { pool in
            pool.idleSince.map { (pool, $0) }
        }
        idle.min { $0.1 < $1.1 }?.0.endLongestIdle()
    }

    func forget(_ pool: TransformPool) {
        pools.withLock { _ = $0.removeValue(forKey: ObjectIdentifier(pool)) }
    }

    private static func reap(_ time: any TimeSource, _ host: () -> TransformHost?) async {
        while (try? await time.sleep(for: TransformLimits.idleCheckInterval)) != nil {
            guard let host = host() else { return }
            let limit = time.instant() - TransformLimits.maximumIdle
            for pool in host.pools.withLock({ Array($0.values) }) { pool.endIdle(since: limit) }
        }
    }

    /// Ends all processes, and waits for them.
    package func shutDown() async {
        reaper.withLock { $0?.cancel() }
        await withDiscardingTaskGroup { group in
            for pool in pools.withLock({ Array($0.values) }) {
                group.addTask { await pool.close() }
            }
        }
        await children.end()
        output.shutDown()
    }
}

/// The folder of all transforms, with what is known of those that were asked for.
final class TransformFolder: Sendable {
    private let path: String
    private let known = Mutex<[String: TransformProgram]>([:])

    init(_ path: String) { self.path = path }

    /// A program as it is now: read again where its files have changed.
    func program(_ name: String) throws(TransformProgram.Failure) -> TransformProgram {
        if let program = known.withLock({ $0[name] }), program.isCurrent {
            return program
        }
        let program = try TransformProgram(name, in: path)
        known.withLock { $0[name] = program }
        return program
    }
}
