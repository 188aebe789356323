internal import Destinations
internal import Records

/// Buffers that become an object each.
package struct ObjectProcessor: BufferProcessor {
    private let target: DeliveryTarget

    /// Objects of a target.
    package init(_ target: DeliveryTarget) { self.target = target }

    package var bounds: BufferBounds { target.bounds }

    package func plan(
        _ cut: BufferCut,
        _ context: PipelineContext
    ) async throws
        -> (any BufferWork)?
    {
        try await context.seal(cut, target) { _ in JournalEntry.Use() }.work(context)
    }
}

/// A buffer that becomes an object, or one and those of records that failed before.
struct ObjectBuffer: JournalledWork {
    let entry: JournalEntry
    let context: PipelineContext

    func process() async throws {
        var delivery = ObjectDelivery(entry, context)
        _ = try await delivery.run { _ in nil }
    }
}
