internal import Destinations
package import Records

/// Buffers whose objects are loaded into a warehouse.
package struct WarehouseProcessor: BufferProcessor {
    private let target: DeliveryTarget
    private let destination: DestinationConfiguration
    private let manifests: KeyTemplate
    private let errorManifests: KeyTemplate

    /// Objects of a target, for a warehouse.
    ///
    /// - Throws: InvalidArgument where the target's prefix has no form.
    package init(
        _ target: DeliveryTarget,
        _ destination: DestinationConfiguration
    ) throws(FirehoseError) {
        self.target = target
        self.destination = destination
        let prefix = target.destination.prefix ?? ""
        manifests = try KeyTemplate(prefix + CopyPlan.manifests, as: .prefix)
        errorManifests = try KeyTemplate(prefix + CopyPlan.errorManifests, as: .prefix)
    }

    package var bounds: BufferBounds { target.bounds }

    package func plan(
        _ cut: BufferCut,
        _ context: PipelineContext
    ) async throws
        -> (any BufferWork)?
    {
        try await context.seal(cut, target) { [self] object in
            JournalEntry.Use(
                copy: CopyPlan(
                    destination,
                    object: object,
                    manifests: manifests,
                    errorManifests: errorManifests
                )
            )
        }.work(context)
    }
}

/// A buffer whose object is loaded into a warehouse.
struct WarehouseBuffer: JournalledWork {
    let entry: JournalEntry
    let plan: CopyPlan
    let context: PipelineContext

    func process() async throws {
        guard let state = try await stored() else { return }
        var load = WarehouseLoad(entry, plan, state, context)
        try await load.run()
    }

    /// Stores the object and its manifest, once.
    ///
    /// - Returns: What is to be loaded; nil where there is nothing, or it was set aside.
    private func stored() async throws -> LoadState? {
        if let load = entry.load { return load }
        var delivery = ObjectDelivery(entry, context)
        let object = try await delivery.run { [self] object in
            try plan.manifestObject(
                as: plan.manifest,
                of: entry,
                byteCount: object.object.byteCount,
                context
            )
        }
        guard let object else { return nil }
        let load = LoadState(
            records: object.records,
            bytes: object.dataBytes,
            objectBytes: object.object.byteCount
        )
        try await context.note(.load(load), of: entry.sequence)
        return load
    }
}

extension CopyPlan {
    /// A manifest, spooled.
    ///
    /// Blocks.
    func manifestObject(
        as object: ObjectPlan,
        of entry: JournalEntry,
        byteCount: UInt64,
        _ context: PipelineContext
    ) throws -> Spooler.Part {
        let writer = try context.environment.spooler.writer(
            object,
            name: context.spoolName(entry.sequence) + "-manifest",
            isEncrypted: false
        )
        try content(of: entry.plan, byteCount: byteCount).withUnsafeBytes { try writer.add($0) }
        return try writer.finish(nil)
    }
}
