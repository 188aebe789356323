internal import Logging
internal import Platform
internal import Records
internal import Synchronization

/// Moves one reader's checkpoint, by as many tasks as like to.
final class CheckpointMover: Sendable {
    private static let lazyPause: Duration = .seconds(1)

    private let context: PipelineContext
    /// The furthest mark that all before is settled.
    private let settled: Mutex<LogMark>
    /// Held over a move.
    private let moving = Mutex(())
    /// Whether somebody waits to move the checkpoint lazily.
    private let isDue = Atomic(false)

    init(_ context: PipelineContext) {
        self.context = context
        settled = Mutex(context.log.checkpoint(of: context.role.reader))
    }

    /// Where the checkpoint is.
    var mark: LogMark { context.log.checkpoint(of: context.role.reader) }

    /// All before a mark is settled.
    ///
    /// - Throws: `CancellationError` alone.
    func settle(to mark: LogMark, _ checkpointing: Checkpointing) async throws {
        settled.withLock { if $0.position < mark.position { $0 = mark } }
        switch checkpointing {
        case .atOnce: try await move { _ in }
        case .lazily(let moved):
            if mark.bytes < self.mark.bytes + Limits.transformCheckpointBytes {
                // One waits for all that come meanwhile.
                guard !isDue.exchange(true, ordering: .relaxed) else { return }
                defer { isDue.store(false, ordering: .relaxed) }
                try await context.time.sleep(for: Self.lazyPause)
            }
            try await move(moved)
        }
    }

    private func move(_ moved: @escaping @Sendable (LogMark) throws -> Void) async throws {
        try await context.onDisk("the checkpoint cannot be moved") { [self] in
            // Of what was settled meanwhile as well.
            try moving.withLock { _ in
                try reach(settled.withLock { $0 })
                try moved(mark)
            }
        }
    }

    /// A later settlement may have been quicker, and stands for an earlier one.
    private func reach(_ end: LogMark) throws {
        guard mark.position < end.position else { return }
        try context.log.moveCheckpoint(of: context.role.reader, to: end)
    }

    /// Moves a checkpoint that is behind what is settled up to where a buffer begins: after a crash, the
    /// buffer's journal entry must join it.
    func catchUp(to start: LogMark) async throws {
        guard mark.position < start.position else { return }
        try await context.environment.diskThreads.run { [self] _ in
            try moving.withLock { _ in try reach(start) }
        }
    }
}
