internal import Delivery
internal import Logging
internal import Records

/// A part of a stream's log that is transformed as a whole.
struct TransformBatch: BufferWork {
    let sequence: UInt64
    let start: LogMark
    let end: LogMark
    let stage: TransformStage
    let context: PipelineContext
    let turn: Turn

    /// A batch behind the one that was made before it.
    init(_ cut: BufferCut, end: LogMark, _ stage: TransformStage, _ context: PipelineContext) {
        sequence = cut.sequence
        start = cut.start
        self.end = end
        self.stage = stage
        self.context = context
        turn = stage.outcome.nextTurn()
    }

    /// What was transformed is not begun again whether or not the checkpoint says so, since the outcome
    /// log does.
    var checkpointing: Checkpointing {
        .lazily { [stage] in try stage.outcome.sourceMoved(to: $0) }
    }

    func heldUp() async throws {}

    /// Brings the batch to an end: all that became of it is durable.
    ///
    /// - Throws: `CancellationError` alone; it is transformed anew after a restart, as far as it was not.
    func process() async throws {
        var isDone = false
        defer {
            turn.end(isDone: isDone)
            stage.end()
        }
        var run = TransformRun(self)
        try await context.untilDone("a batch cannot be transformed") { try await run.goOn() }
        stage.outcome.batchEnded(at: end)
        isDone = true
        context.logger.info("transformed", metadata: run.facts)
    }
}
