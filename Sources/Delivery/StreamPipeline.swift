internal import Destinations
internal import Logging
internal import Platform
package import Records
internal import Synchronization

/// One way out of a stream: cuts a log into buffers, sees each to its end, and moves the checkpoint.
///
/// What becomes of a buffer is its processor's: the pipeline knows none by name.
package final class StreamPipeline: Sendable {
    let context: PipelineContext
    let machine: Mutex<BufferStateMachine>
    let settings: Mutex<PipelineSettings>
    private let signal = Signal()
    private let checkpoint: CheckpointMover
    private let resumed: [JournalEntry]
    /// Called after the checkpoint has moved.
    private let onSettlement: @Sendable () -> Void
    /// How many of the records between two marks are the log's own progress markers.
    private let notes: @Sendable (LogMark, LogMark) -> UInt64

    /// Goes on where the stream's journal and checkpoint say.
    ///
    /// Blocks.
    package init(
        _ role: PipelineRole,
        of stream: String,
        settings: PipelineSettings,
        log: any RecordLog,
        journal: any BufferJournal,
        environment: DeliveryEnvironment,
        notes: @escaping @Sendable (LogMark, LogMark) -> UInt64 = { _, _ in 0 },
        onSettlement: @escaping @Sendable () -> Void = {}
    ) throws {
        self.notes = notes
        self.onSettlement = onSettlement
        context = PipelineContext(role, of: stream, log: log, journal: journal, environment)
        checkpoint = CheckpointMover(context)
        self.settings = Mutex(settings)
        let mark = log.checkpoint(of: role.reader)
        resumed = try journal.resume(from: mark)
        machine = Mutex(
            BufferStateMachine(
                bounds: settings.processor.bounds,
                checkpoint: mark,
                resumed: resumed.map { BufferStateMachine.InFlight($0) },
                // Above all that were used, also by those that are forgotten: every buffer held a
                // record. Keys of one millisecond sort by it.
                nextSequence: max(resumed.last?.sequence ?? 0, mark.records) + 1
            )
        )
        begin(settings)
    }

    /// Takes a changed configuration, which holds for all records that are in no sealed buffer yet
    /// (real AWS, as probed by third parties).
    package func update(_ new: PipelineSettings) {
        settings.withLock { $0 = new }
        begin(new)
        signal.notify()
    }

    private func begin(_ settings: PipelineSettings) {
        context.destination.withLock { $0 = settings.destination }
        context.metrics.begin(failures: settings.failureTypes)
        context.outage.bucketIs(settings.bucket, context.logger)
    }

    /// Something may be possible now that was not before.
    package func wake() { signal.notify() }

    // MARK: The loop

    /// Delivers until the task is cancelled; what is under way then is tried again after a restart.
    package func run() async {
        await withDiscardingTaskGroup { group in
            for entry in resumed {
                let work = entry.work(context, isResumed: true)
                group.addTask { await self.bring(work) }
            }
            // Each step waits for something, or seals a buffer.
            do {
                while !Task.isCancelled {
                    let work = try await context.untilDone("the buffer cannot be cut; retrying") {
                        try await step()
                    }
                    if let work { group.addTask { await self.bring(work) } }
                }
            } catch {
                // Cancellation, or the server's threads have ended.
                context.logger.debug("no more is cut", metadata: ["error": "\(error)"])
            }
            group.cancelAll()
        }
    }

    private func bring(_ work: any BufferWork) async {
        await BufferContext.with(work, context) {
            do {
                try await work.process()
                try await settle(work)
            } catch is CancellationError {
                // What is durable says how to go on.
                context.logger.debug("delivery interrupted")
            } catch {
                context.logger.error(
                    "the buffer is left until the next start",
                    metadata: ["error": "\(error)"]
                )
            }
        }
    }

    /// One step: waits for something, or seals a buffer and gives it.
    private func step() async throws -> (any BufferWork)? {
        let processor = settings.withLock(\.processor)
        guard processor.isReady else {
            await signal.wait()
            return nil
        }
        let (log, reader) = (context.log, context.role.reader)
        let tail = log.tail
        let bounds = processor.bounds
        let next = machine.withLock { machine in
            machine.bounds = bounds
            return machine.next(tail: tail, now: context.time.steady())
        }
        switch next {
        case .waitForSettlement:
            await signal.wait()
        case .waitForRecords(let count):
            log.wake(reader, atRecords: count + 1, orBytes: .max) { [signal] in signal.notify() }
            await signal.wait()
        case .wait(let moment, let bytes):
            log.wake(reader, atRecords: .max, orBytes: bytes) { [signal] in signal.notify() }
            await signal.wait(until: moment, context.time)
        case .findArrival(let mark): try await findArrival(after: mark)
        case .seal(let cut): return try await seal(cut, processor)
        }
        return nil
    }

    private func findArrival(after mark: LogMark) async throws {
        let arrival = try await context.environment.diskThreads.run { [context] _ in
            try context.log.arrival(after: mark)
        }
        let (now, steady) = (context.time.now(), context.time.steady())
        // The stamp of a clock that was ahead holds nothing up.
        let oldest = steady - max(.zero, now - (arrival ?? now))
        // What was transformed has waited before.
        let since = context.role == .outcome ? steady : oldest
        machine.withLock { $0.arrivalFound(arrival ?? now, since: since, oldest: oldest) }
    }

    private func seal(
        _ cut: BufferCut,
        _ processor: any BufferProcessor
    ) async throws -> (any BufferWork)? {
        if cut.joinsCheckpoint { try await checkpoint.catchUp(to: cut.start) }
        guard let work = try await processor.plan(cut, context) else { return nil }
        machine.withLock { $0.sealed(work.sequence, end: work.end) }
        return work
    }

    // MARK: The end of a buffer

    /// Moves the checkpoint as far as buffers are settled in order, then forgets those.
    private func settle(_ work: any BufferWork) async throws {
        if machine.withLock({ !$0.isFirst(work.sequence) }) { try await work.heldUp() }
        let progress = machine.withLock { $0.settled(work.sequence) }
        defer { signal.notify() }
        guard let progress else { return }
        signal.notify()
        try await checkpoint.settle(to: progress.checkpoint, work.checkpointing)
        if !progress.finished.isEmpty {
            try await context.untilDone("the journal cannot be written") {
                try await context.journal.forget(progress.finished)
            }
        }
        onSettlement()
    }

    /// Cuts what is before a mark without waiting for more, and gives how many records of it are not
    /// settled.
    package func flush(to mark: LogMark) -> UInt64 {
        let pending = pendingRecords(before: mark)
        guard pending > 0 else { return 0 }
        machine.withLock { $0.flush(to: mark) }
        signal.notify()
        return pending
    }

    /// Records before a mark that are not settled; 1 where nobody counted them.
    package func pendingRecords(before mark: LogMark) -> UInt64 {
        let passed = checkpoint.mark
        guard passed.position < mark.position else { return 0 }
        return max(1, records(from: passed, to: mark))
    }

    /// Records between two marks, without the log's own notes.
    func records(from start: LogMark, to end: LogMark) -> UInt64 {
        guard end.records > start.records else { return 0 }
        let all = end.records - start.records
        return all - min(all, notes(start, end))
    }

    /// Whether all before a mark is settled.
    package func hasPassed(_ mark: LogMark) -> Bool {
        checkpoint.mark.position >= mark.position
    }

    /// Whether records stay in the log.
    package var isParked: Bool { settings.withLock { $0.processor.isParked } }
}
