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
        try await context.seal(cut) { [target, destination] end in
            let plans = target.plans(
                stream: context.stream,
                cut,
                failedType: ErrorOutputType(of: destination.kind)
            )
            return JournalEntry(
                sequence: cut.sequence,
                start: cut.start,
                end: end,
                plan: plans.main,
                failurePlans: plans.failures,
                records: RecordsPlan(
                    destination: destination,
                    delimiter: target.recordDelimiter
                ),
                firstAttempt: context.time.now()
            )
        }.work(context)
    }
}

/// A buffer whose records go to a destination one by one.
struct RecordBuffer: JournalledWork {
    let entry: JournalEntry
    let plan: RecordsPlan
    let context: PipelineContext

    func process() async throws {
        let destination = try await context.untilDone("the destination cannot be used") {
            try context.requests.destination(plan.destination)
        }
        var delivery = RecordDelivery(entry, plan, destination, context)
        try await delivery.run()
    }
}
