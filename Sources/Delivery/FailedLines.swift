internal import Destinations
internal import Records
internal import Synchronization

/// Gathers the lines of a buffer's failed records in spool files, one for each place where they go.
final class FailedLines: Sendable {
    private struct State {
        var writers: [ErrorOutputType: PartWriter] = [:]
        var setAside: (type: ErrorOutputType, writer: PartWriter)?
    }
    private let state = Mutex(State())
    private let spooler: Spooler
    private let plans: [ErrorOutputType: ObjectPlan]
    private let name: String
    private let isEncrypted: Bool

    /// Lines for the objects of `plans`, in files that begin with `name`.
    init(
        _ spooler: Spooler,
        _ plans: [ErrorOutputType: ObjectPlan],
        name: String,
        isEncrypted: Bool
    ) {
        self.spooler = spooler
        self.plans = plans
        self.name = name
        self.isEncrypted = isEncrypted
    }

    /// Adds a line, without its line feed.
    ///
    /// Blocks.
    func add(_ line: UnsafeRawBufferPointer, _ type: ErrorOutputType) throws {
        try state.withLock { state in
            if state.writers[type] == nil {
                state.writers[type] = try writer(type, "-\(type.rawValue)")
            }
            try state.writers[type]?.add(line)
        }
    }

    /// Adds a line that is kept on disk, and not delivered.
    ///
    /// Blocks.
    func addAside(_ line: [UInt8], _ type: ErrorOutputType) throws {
        try state.withLock { state in
            if state.setAside == nil { state.setAside = (type, try writer(type, "-aside")) }
            try line.withUnsafeBytes { try state.setAside?.writer.add($0) }
        }
    }

    /// Forgets all lines, which are to be gathered anew.
    func discard() { state.withLock { $0 = State() } }

    private func writer(_ type: ErrorOutputType, _ suffix: String) throws -> PartWriter {
        guard let plan = plans[type] else { throw Spooler.UnknownOutcome() }
        return try spooler.writer(plan, name: name + suffix, isEncrypted: isEncrypted)
    }

    /// The objects; nothing may be added after, and it may be called again where it throws.
    ///
    /// Blocks.
    func finish() throws -> (parts: [Spooler.Part], setAside: Spooler.Part?) {
        try state.withLock { state in
            var parts: [Spooler.Part] = []
            for type in ErrorOutputType.allCases {
                if let writer = state.writers[type] { parts.append(try writer.finish(type)) }
            }
            let setAside = try state.setAside.map { type, writer in try writer.finish(type) }
            state = State()
            return (parts, setAside)
        }
    }
}
