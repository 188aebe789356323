internal import Destinations
internal import Logging
package import Records

/// Buffers whose records go to a destination one by one.
package struct RecordProcessor: BufferProcessor {
    private let target: DeliveryTarget
    private let destination: DestinationConfiguration

    /// Records for `destination`; those that it does not take go to the target.
    package init(_ target: DeliveryTarget, _ destination: DestinationConfiguration) {
        self.target = target
        self.destination = destination
    }

    package var bounds: BufferBounds { target.bounds }

    package func plan(
        _ cut: BufferCut,
        _ context: PipelineContext
    ) async throws
        -> (any BufferWork)?
    {
        let failedType = ErrorOutputType(of: destination.kind)
        return try await context.seal(cut, target, failedType: failedType) {
            [target, destination] _ in
            JournalEntry.Use(
                records: RecordsPlan(destination: destination, delimiter: target.recordDelimiter)
            )
        }.work(context)
    }
}

/// A buffer whose records go to a destination one by one.
struct RecordBuffer: JournalledWork {
    let entry: JournalEntry
    let plan: RecordsPlan
    /// Whether it was on its way before a restart.
    let isResumed: Bool
    let context: PipelineContext

    func process() async throws {
        let destination = try await context.untilDone("the destination cannot be used") {
            try context.requests.destination(plan.destination)
        }
        var delivery = RecordDelivery(
            RecordSource(buffer: self, destination: destination),
            isResumed: isResumed
        )
        try await delivery.run()
    }
}

/// The records of a buffer as its destination takes them, read from the log each time.
struct RecordSource: Sendable {
    let buffer: RecordBuffer
    let destination: any RecordDestination

    var entry: JournalEntry { buffer.entry }
    var kind: DestinationKind { buffer.plan.destination.kind }
    var context: PipelineContext { buffer.context }

    /// Reads the part that begins at a mark and fits into a request.
    ///
    /// Blocks.
    func chunk(from start: LogMark) throws -> RecordsChunk {
        try RecordsChunk(
            context.log,
            from: start,
            limit: entry.end,
            destination.requestLimits,
            isOutcome: context.role == .outcome,
            delimiter: buffer.plan.delimiter
        )
    }
}
