package import Delivery
internal import Platform
package import Records
internal import Synchronization

/// What a stream's records go through before they are delivered, as it is configured now.
package final class TransformStage: BufferProcessor {
    /// What it does.
    package let processing: Processing
    let outcome: OutcomeLog
    let environment: TransformEnvironment
    let metrics: TransformMetrics
    private let pool: TransformPool?
    /// Bytes of outcomes that may wait for their delivery.
    private let maximumWaitingBytes = Mutex<UInt64>(0)
    private let use = Mutex(Use())

    private struct Use {
        var batches = 0
        var isRetired = false
    }

    /// A stage of a stream.
    package init(
        _ processing: Processing,
        into outcome: OutcomeLog,
        of stream: DeliveryStream,
        _ environment: TransformEnvironment,
        _ metrics: TransformMetrics
    ) {
        self.processing = processing
        self.outcome = outcome
        self.environment = environment
        self.metrics = metrics
        pool = processing.lambda.flatMap { lambda in
            environment.host?.pool(lambda.name, arn: lambda.arn, stream: stream.name) {
                metrics.processStarts()
            }
        }
    }

    /// Takes the size of the destination's buffers, of which a few may wait.
    package func setDestinationBuffer(bytes: UInt64) {
        maximumWaitingBytes.withLock { $0 = bytes * UInt64(Limits.maximumOutcomeBuffers) }
    }

    /// Whether more may be transformed before something is delivered: a backlog stays in the stream's
    /// own log.
    package var isReady: Bool { outcome.waitingBytes < maximumWaitingBytes.withLock { $0 } }

    package var bounds: BufferBounds {
        guard let lambda = processing.lambda else {
            return BufferBounds(
                bytes: Limits.builtInTransformBatchBytes,
                intervalSeconds: 0,
                maximumInFlight: 2,
                isJournalled: false
            )
        }
        return BufferBounds(
            bytes: lambda.bufferBytes,
            intervalSeconds: lambda.bufferIntervalSeconds,
            maximumInFlight: pool?.concurrency ?? 1,
            isJournalled: false
        )
    }

    /// Tells how its processes are, where it has a program.
    package func updateMetrics() { metrics.processes(pool?.processes) }

    package func plan(
        _ cut: BufferCut,
        _ context: PipelineContext
    ) async throws
        -> (any BufferWork)?
    {
        guard try await begin() else { return nil }
        do {
            // Nothing is journalled, as nothing is sent before its outcome is.
            let end = try await context.environment.diskThreads.run { [bounds] _ in
                try context.log.cut(
                    from: cut.start,
                    maximumBytes: bounds.bytes,
                    maximumRecords: UInt64(Limits.maximumTransformBatchRecords),
                    limit: cut.limit
                )
            }
            return TransformBatch(cut, end: end, self, context)
        } catch {
            end()
            throw error
        }
    }

    /// Makes one invocation.
    func invoke(_ event: TransformEvent) async throws -> Block {
        guard let pool else { preconditionFailure("a stage without a program invokes none") }
        return try await pool.invoke(event)
    }

    // MARK: Its end

    /// A batch begins to use the stage and takes its place among all that are transformed, balanced by
    /// `end`; false where that is too late, because the configuration has changed.
    ///
    /// The place is taken before the batch has its turn, so that no batch holds one while it waits for
    /// another without.
    private func begin() async throws -> Bool {
        try await environment.places.acquire()
        let isUsed = use.withLock { use in
            if !use.isRetired { use.batches += 1 }
            return !use.isRetired
        }
        if !isUsed { environment.places.release() }
        return isUsed
    }

    /// A batch is over.
    func end() {
        environment.places.release()
        let isLast = use.withLock { use in
            use.batches -= 1
            return use.isRetired && use.batches == 0
        }
        if isLast { closePool() }
    }

    /// No further batch will use the stage: its processes end with the last one.
    package func retire() {
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
    package func close() async { await pool?.close() }
}
