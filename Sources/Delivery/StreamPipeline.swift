internal import Destinations
internal import Logging
internal import Platform
internal import Records
internal import Synchronization

/// One way out of a stream: cuts a log into buffers, sees each to its end, and moves the checkpoint.
final class StreamPipeline: Sendable {
    let role: Role
    let name: String
    let log: any RecordLog
    let journal: InFlightJournal
    let settings: Mutex<Settings>
    let setAside: SetAside
    let shared: Shared
    let logger: Logger
    let signal = Signal()
    let machine: Mutex<BufferStateMachine>
    /// Held over a move of the checkpoint, which `machine` must not be.
    let checkpointLock = Mutex(())
    let startedAt: Timestamp
    let outage: Outage
    let metrics: PipelineMetrics
    /// Bounds the stream's own requests that are in memory.
    let requestPlaces = Places(Limits.maximumRequestsOfStream)
    /// Whether the last request brought nothing.
    let isInTrouble = Atomic(false)
    /// One COPY at a time.
    let copyPlaces = Places(1)
    /// Those that take records one by one, as they are configured now and were a moment ago.
    let destinations = Mutex<[DestinationConfiguration: any RecordDestination]>([:])
    private let resumed: [JournalEntry]
    /// The place behind the last batch that was given to a transform.
    private let lastTurn = Mutex<Turn?>(nil)
    /// Whether somebody waits to move the checkpoint over what was transformed.
    let isCheckpointDue = Atomic(false)
    /// Called after each settlement.
    let onSettlement: @Sendable () -> Void
    /// How many of a range of the log's records are notes of its own, and nobody's.
    let notes: @Sendable (Range<UInt64>) -> UInt64

    /// What all pipelines of a server have in common.
    struct Shared: Sendable {
        var options: DeliveryOptions
        var identity: ServiceIdentity
        var spooler: Spooler
        var setAsideFolder: String
        /// Bounds the spool files of all streams.
        var spoolPlaces: Places
        /// Bounds the batches that are being transformed, all streams together.
        var transformPlaces: Places
        /// Bounds the KiB of requests that are in memory, all streams together.
        var requestMemory: Places
        /// The same for streams whose last request brought nothing.
        var troubledRequestMemory: Places
        var copyGates: CopyGates
        /// For reading and compressing whole buffers.
        var spoolThreads: WorkerThreads
        /// For reading, unpacking and encoding what is transformed.
        var transformThreads: WorkerThreads
        /// For everything else that touches the disk, and is over soon.
        var diskThreads: WorkerThreads
        var logger: Logger
    }

    /// Goes on where the stream's journal and checkpoint say.
    ///
    /// Blocks.
    init(
        _ role: Role,
        of stream: String,
        settings: Settings,
        log: any RecordLog,
        journal: InFlightJournal,
        entries: [JournalEntry],
        shared: Shared,
        notes: @escaping @Sendable (Range<UInt64>) -> UInt64 = { _ in 0 },
        onSettlement: @escaping @Sendable () -> Void = {}
    ) throws {
        self.notes = notes
        self.role = role
        name = stream
        self.log = log
        self.shared = shared
        self.journal = journal
        self.onSettlement = onSettlement
        metrics = PipelineMetrics(stream: stream, role: role, shared.options.metrics)
        outage = Outage(stream: stream, pipeline: role.rawValue, shared.options.metrics)
        self.settings = Mutex(settings)
        metrics.begin(failures: settings.failureTypes)
        setAside = SetAside(
            folder: shared.setAsideFolder + "/" + LocalBucketStore.pathComponent(stream)
        )
        var logger = shared.logger
        logger[metadataKey: "stream"] = "\(stream)"
        self.logger = logger
        outage.bucketIs(settings.bucket, logger)
        let checkpoint = log.checkpoint(of: role.reader)
        resumed = try journal.resume(entries, from: checkpoint)
        startedAt = shared.options.time.now()
        machine = Mutex(
            BufferStateMachine(
                bounds: settings.bounds,
                checkpoint: checkpoint,
                resumed: resumed.map {
                    .init(sequence: $0.sequence, end: $0.end, arrival: $0.plan.arrival)
                },
                // Above all that were used, also by those that are forgotten: every buffer held a
                // record. Keys of one millisecond sort by it.
                nextSequence: max(entries.last?.sequence ?? 0, checkpoint.records) + 1
            )
        )
    }

    /// Takes a changed configuration, which holds for all records that are in no sealed buffer yet
    /// (real AWS, as probed by third parties).
    func update(_ new: Settings) {
        settings.withLock { $0 = new }
        metrics.begin(failures: new.failureTypes)
        outage.bucketIs(new.bucket, logger)
        signal.notify()
    }

    /// Something may be possible now that was not before.
    func wake() { signal.notify() }

    /// Delivers until the task is cancelled; what is under way then is tried again after a restart.
    func run() async {
        await withDiscardingTaskGroup { group in
            for entry in resumed { group.addTask { await self.bring(entry) } }
            while !Task.isCancelled {
                do {
                    switch try await step() {
                    case .deliver(let entry): group.addTask { await self.bring(entry) }
                    case .transform(let stage, let batch):
                        group.addTask { [role, log] in
                            await BufferContext.with(
                                role,
                                batch.sequence,
                                log,
                                from: batch.start,
                                to: batch.end
                            ) { await self.transform(batch, stage) }
                        }
                    case nil: break
                    }
                } catch is CancellationError {
                    break
                } catch {
                    logger.error(
                        "the buffer cannot be cut, another try follows",
                        metadata: ["error": "\(error)"]
                    )
                    await pause(.seconds(5))
                }
            }
            group.cancelAll()
        }
    }

    private func bring(_ entry: JournalEntry) async {
        await BufferContext.with(role, entry.sequence, log, from: entry.start, to: entry.end) {
            await bringOn(entry)
        }
    }

    private func bringOn(_ entry: JournalEntry) async {
        if entry.isSettled == true {
            // Only cancellation interrupts it: the journal keeps it for the next start.
            try? await settle(entry.sequence, nil)
            signal.notify()
        } else if let plan = entry.records {
            await deliverRecords(entry, plan)
        } else {
            await deliver(entry)
        }
    }

    /// A sealed buffer.
    private enum Sealed {
        case deliver(JournalEntry)
        case transform(TransformStage, TransformStage.Batch)
    }

    /// One step: waits for something, or seals a buffer and gives it.
    private func step() async throws -> Sealed? {
        let settings = settings.withLock { $0 }
        if case .park = settings.route {
            await signal.wait()
            return nil
        }
        if case .transform(let stage) = settings.route, !stage.hasRoom {
            await signal.wait()
            return nil
        }
        let time = shared.options.time
        let tail = log.tail
        let bounds = settings.bounds
        let next = machine.withLock { machine in
            machine.bounds = bounds
            return machine.next(tail: tail, now: time.now())
        }
        switch next {
        case .waitForSettlement:
            await signal.wait()
        case .waitForRecords(let count):
            log.wake(role.reader, atRecords: count + 1, orBytes: .max) { [signal] in
                signal.notify()
            }
            await signal.wait()
        case .wait(let moment, let bytes):
            log.wake(role.reader, atRecords: .max, orBytes: bytes) { [signal] in signal.notify() }
            await signal.wait(until: moment, time)
        case .findArrival(let mark):
            let arrival = try await shared.diskThreads.run { [log] _ in
                try log.arrival(after: mark)
            }
            let now = time.now()
            let since = role == .outcome ? now : nil
            machine.withLock { $0.arrivalFound(arrival ?? now, now: now, since: since) }
        case .seal(let start, let limit, let bytes, let sequence, let arrival):
            switch settings.route {
            case .park: break
            case .deliver(let target):
                return .deliver(
                    try await seal(
                        from: start,
                        limit: limit,
                        bytes,
                        sequence,
                        arrival,
                        target,
                        settings.version
                    )
                )
            case .transform(let stage):
                guard stage.begin() else { break }
                do {
                    let batch = try await seal(from: start, limit, sequence, for: stage)
                    return .transform(stage, batch)
                } catch {
                    stage.end()
                    throw error
                }
            }
        }
        return nil
    }

    /// Decides a buffer's range and keys, and journals them before anything is sent.
    private func seal(
        from start: LogMark,
        limit: LogMark,
        _ bytes: UInt64,
        _ sequence: UInt64,
        _ arrival: Timestamp,
        _ target: Target,
        _ version: Int
    ) async throws -> JournalEntry {
        let entry = try await shared.diskThreads.run { [self] _ in
            let end = try log.cut(
                from: start,
                maximumBytes: bytes,
                maximumRecords: .max,
                limit: limit
            )
            let plans = target.plans(
                stream: name,
                version: version,
                sequence: sequence,
                arrival: arrival
            )
            let entry = JournalEntry(
                sequence: sequence,
                start: start,
                end: end,
                plan: plans.main,
                failurePlans: plans.failures,
                records: target.records.map {
                    RecordsPlan(destination: $0, delimiter: target.recordDelimiter)
                },
                copy: target.copy.map {
                    CopyPlan(
                        $0.destination,
                        object: plans.main,
                        manifests: $0.manifests,
                        errorManifests: $0.errorManifests
                    )
                },
                firstAttempt: shared.options.time.now()
            )
            try catchUp(to: start)
            try journal.add(entry)
            return entry
        }
        machine.withLock { $0.sealed(end: entry.end) }
        return entry
    }

    /// Moves a checkpoint that is behind what was transformed up to where a buffer begins: after a crash,
    /// the buffer's journal entry must join it.
    private func catchUp(to start: LogMark) throws {
        guard machine.withLock({ $0.isIdle }) else { return }
        try checkpointLock.withLock { _ in
            guard log.checkpoint(of: role.reader).position < start.position else { return }
            try log.moveCheckpoint(of: role.reader, to: start)
        }
    }

    /// Decides a batch's range; nothing is journalled, as nothing is sent before its outcome is.
    ///
    /// The place is taken here, so that no batch holds one while it waits for another without.
    private func seal(
        from start: LogMark,
        _ limit: LogMark,
        _ sequence: UInt64,
        for stage: TransformStage
    ) async throws -> TransformStage.Batch {
        try await shared.transformPlaces.take()
        do {
            let end = try await shared.diskThreads.run { [log] _ in
                try log.cut(
                    from: start,
                    maximumBytes: stage.bounds.bytes,
                    maximumRecords: UInt64(Limits.maximumTransformBatchRecords),
                    limit: limit
                )
            }
            machine.withLock { $0.sealed(end: end) }
            let turn = lastTurn.withLock { last in
                let turn = Turn(after: last)
                last = turn
                return turn
            }
            return TransformStage.Batch(sequence: sequence, start: start, end: end, turn: turn)
        } catch {
            shared.transformPlaces.giveBack()
            throw error
        }
    }
}
