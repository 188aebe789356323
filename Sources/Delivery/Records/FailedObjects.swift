internal import Destinations
internal import Records

/// Gathers the lines of a buffer's failed records in spool files, one for each place where they go.
struct FailedObjects: ~Copyable {
    private var writers: [ErrorOutputType: PartWriter] = [:]
    private var setAside: (type: ErrorOutputType, writer: PartWriter)?
    private let plans: [ErrorOutputType: ObjectPlan]
    private let context: PipelineContext
    private let name: String

    init(_ entry: JournalEntry, _ context: PipelineContext) {
        self.context = context
        plans = entry.failureObjects
        name = context.spoolName(entry.sequence)
    }

    /// Adds a line, without its line feed.
    ///
    /// Blocks.
    mutating func add(_ line: UnsafeRawBufferPointer, _ type: ErrorOutputType) throws {
        if writers[type] == nil { writers[type] = try writer(type, "-\(type.rawValue)") }
        try writers[type]?.add(line)
    }

    /// Adds a line that is kept on disk, and not delivered.
    ///
    /// Blocks.
    mutating func addAside(_ line: UnsafeRawBufferPointer, _ type: ErrorOutputType) throws {
        if setAside == nil { setAside = (type, try writer(type, "-aside")) }
        try setAside?.writer.add(line)
    }

    private func writer(_ type: ErrorOutputType, _ suffix: String) throws -> PartWriter {
        guard let plan = plans[type] else { throw Spooler.UnknownOutcome() }
        return try context.environment.spooler.writer(
            plan,
            name: name + suffix,
            isEncrypted: context.log.isEncryptionInUse
        )
    }

    /// The objects.
    ///
    /// Blocks.
    consuming func finish() throws -> FailureDelivery.Objects {
        var parts: [Spooler.Part] = []
        for type in ErrorOutputType.allCases {
            if let writer = writers[type] { parts.append(try writer.finish(type)) }
        }
        return FailureDelivery.Objects(
            parts: parts,
            setAside: try setAside.map { type, writer in try writer.finish(type) }
        )
    }
}
