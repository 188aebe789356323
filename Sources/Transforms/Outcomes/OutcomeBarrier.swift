package import Delivery

/// Delivers records as they were put, once all that was transformed before them is delivered: else they
/// would overtake it when processing is switched off.
package struct OutcomeBarrier: BufferProcessor {
    private let processor: any BufferProcessor
    private let outcome: OutcomeLog

    /// Puts `processor` behind what is in the outcome log.
    package init(before processor: any BufferProcessor, _ outcome: OutcomeLog) {
        self.processor = processor
        self.outcome = outcome
    }

    package var bounds: BufferBounds { processor.bounds }
    package var isParked: Bool { processor.isParked }

    /// The outcome's pipeline wakes the stream's own whenever it has delivered something.
    package var isReady: Bool { processor.isReady && outcome.isDelivered }

    package func plan(
        _ cut: BufferCut,
        _ context: PipelineContext
    ) async throws -> (any BufferWork)? {
        // A batch may have come to its end since the pipeline asked; none is under way now.
        guard outcome.isDelivered else { return nil }
        return try await processor.plan(cut, context)
    }
}
