internal import Platform
internal import Processors
internal import Records
internal import Synchronization
internal import TransformHost

/// What a stream's records go through before they are delivered, as it is configured now.
final class TransformStage: Sendable {
    /// A part of the stream's log that is transformed as a whole.
    struct Batch: Sendable {
        var sequence: UInt64
        var start: LogMark
        var end: LogMark
        var turn: Turn
    }

    let processing: Processing
    let outcome: OutcomeLog
    private let pool: TransformPool?
    /// Bytes of outcomes that may wait for their delivery.
    private let maximumWaitingBytes: Mutex<UInt64>
    private let use = Mutex(Use())

    private struct Use {
        var batches = 0
        var isRetired = false
    }

    /// A stage; `pool` is for its program, where it has one.
    init(_ processing: Processing, _ outcome: OutcomeLog, _ pool: TransformPool?) {
        self.processing = processing
        self.outcome = outcome
        self.pool = pool
        maximumWaitingBytes = Mutex(0)
    }

    /// Takes the size of the destination's buffers, of which a few may wait.
    func setDestinationBuffer(bytes: UInt64) {
        maximumWaitingBytes.withLock { $0 = bytes * UInt64(Limits.maximumOutcomeBuffers) }
    }

    /// Whether more may be transformed before something is delivered: a backlog stays in the stream's
    /// own log.
    var hasRoom: Bool { outcome.waitingBytes < maximumWaitingBytes.withLock { $0 } }

    /// What makes a batch.
    var bounds: BufferStateMachine.Bounds {
        guard let lambda = processing.lambda else {
            return BufferStateMachine.Bounds(
                bytes: Limits.builtInTransformBatchBytes,
                intervalSeconds: 0,
                maximumInFlight: 2,
                route: .transform
            )
        }
        return BufferStateMachine.Bounds(
            bytes: lambda.bufferBytes,
            intervalSeconds: lambda.bufferIntervalSeconds,
            maximumInFlight: pool?.concurrency ?? 1,
            route: .transform
        )
    }

    /// Its processes, where it has a program.
    var processes: TransformPool.Processes? { pool?.processes }

    /// Makes one invocation.
    func invoke(_ event: TransformEvent) async throws -> Block {
        guard let pool else { preconditionFailure("a stage without a program invokes none") }
        return try await pool.invoke(event)
    }

    // MARK: Its end

    /// A batch begins to use the stage, balanced by `end`; false where that is too late, because the
    /// configuration has changed.
    func begin() -> Bool {
        use.withLock { use in
            if !use.isRetired { use.batches += 1 }
            return !use.isRetired
        }
    }

    /// A batch is over.
    func end() {
        let isLast = use.withLock { use in
            use.batches -= 1
            return use.isRetired && use.batches == 0
        }
        if isLast { closePool() }
    }

    /// No further batch will use the stage: its processes end with the last one.
    func retire() {
        let isUnused = use.withLock { use in
            defer { use.isRetired = true }
            return !use.isRetired && use.batches == 0
        }
        if isUnused { closePool() }
    }

    private func closePool() {
        guard let pool else { return }
        Task { await pool.close() }
    }

    /// Ends its processes now.
    func close() async { await pool?.close() }
}
