internal import Destinations
internal import Logging
internal import Platform
internal import Records
internal import Synchronization

/// One stream's way out: cuts its log into buffers, delivers each, and moves the checkpoint.
final class StreamPipeline: Sendable {
    /// The log's reader that this pipeline is.
    static let reader = "delivery"

    private let name: String
    private let log: any RecordLog
    private let journal: InFlightJournal
    private let settings: Mutex<Settings>
    private let setAside: SetAside
    private let shared: Shared
    private let logger: Logger
    private let signal = Signal()
    private let machine: Mutex<BufferStateMachine>
    /// Held over a move of the checkpoint, which `machine` must not be.
    private let checkpointLock = Mutex(())
    private let resumed: [JournalEntry]
    private let startedAt: Timestamp

    /// What the stream's configuration means for buffers that are still open.
    private struct Settings {
        var version: Int
        /// Nil where the stream is to be delivered in a way that this program does not have: its
        /// records stay in the log.
        var target: (destination: S3Destination, template: KeyTemplate)?

        init(_ stream: DeliveryStream) throws(FirehoseError) {
            version = stream.version
            guard StreamRules.undeliverableMembers(of: stream.destination).isEmpty,
                let destination = stream.destination.s3
            else { return }
            let template = try KeyTemplate(destination.prefix ?? "", as: .prefix)
            target = (destination, template)
        }

        var hints: BufferingHints { target?.destination.bufferingHints ?? BufferingHints() }
    }

    /// What all pipelines of a server have in common.
    struct Shared: Sendable {
        var options: DeliveryOptions
        var spooler: Spooler
        var setAsideFolder: String
        /// Bounds the spool files of all streams.
        var spoolPlaces: Places
        /// For reading and compressing whole buffers.
        var spoolThreads: WorkerThreads
        /// For everything else that touches the disk, and is over soon.
        var diskThreads: WorkerThreads
        var logger: Logger
    }

    /// Goes on where the stream's journal and checkpoint say.
    ///
    /// Blocks.
    init(
        _ stream: DeliveryStream,
        log: any RecordLog,
        journal: InFlightJournal,
        entries: [JournalEntry],
        shared: Shared
    ) throws {
        name = stream.name
        self.log = log
        self.shared = shared
        self.journal = journal
        let settings = try Settings(stream)
        self.settings = Mutex(settings)
        setAside = SetAside(
            folder: shared.setAsideFolder + "/" + LocalBucketStore.pathComponent(stream.name)
        )
        var logger = shared.logger
        logger[metadataKey: "stream"] = "\(stream.name)"
        self.logger = logger
        let checkpoint = log.checkpoint(of: Self.reader)
        resumed = try journal.resume(entries, from: checkpoint)
        startedAt = shared.options.time.now()
        machine = Mutex(
            BufferStateMachine(
                hints: settings.hints,
                maximumInFlight: shared.options.maximumBuffersInFlight,
                checkpoint: checkpoint,
                resumed: resumed.map { .init(sequence: $0.sequence, end: $0.end) },
                nextSequence: (entries.last?.sequence ?? 0) + 1
            )
        )
    }

    /// Takes a changed configuration, which holds for all records that are in no sealed buffer yet
    /// (real AWS, as probed by third parties).
    func update(_ stream: DeliveryStream) throws(FirehoseError) {
        let new = try Settings(stream)
        settings.withLock { $0 = new }
        machine.withLock { $0.hints = new.hints }
        signal.notify()
    }

    /// Delivers until the task is cancelled; what is under way then is tried again after a restart.
    func run() async {
        await withDiscardingTaskGroup { group in
            for entry in resumed { group.addTask { await self.deliver(entry) } }
            while !Task.isCancelled {
                do {
                    if let entry = try await step() {
                        group.addTask { await self.deliver(entry) }
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

    /// One step: waits for something, or seals a buffer and gives it.
    private func step() async throws -> JournalEntry? {
        if settings.withLock({ $0.target == nil }) {
            await signal.wait()
            return nil
        }
        let time = shared.options.time
        let tail = log.tail
        switch machine.withLock({ $0.next(tail: tail, now: time.now()) }) {
        case .waitForSettlement:
            await signal.wait()
        case .waitForRecords(let count):
            log.wake(Self.reader, atRecords: count + 1, orBytes: .max) { [signal] in signal.notify()
            }
            await signal.wait()
        case .wait(let moment, let bytes):
            log.wake(Self.reader, atRecords: .max, orBytes: bytes) { [signal] in signal.notify() }
            await signal.wait(until: moment, time)
        case .findArrival(let mark):
            let arrival = try await shared.diskThreads.run { [log] _ in
                try log.arrival(after: mark)
            }
            let now = time.now()
            machine.withLock { $0.arrivalFound(arrival ?? now, now: now) }
        case .seal(let start, let limit, let sequence, let arrival):
            return try await seal(from: start, limit: limit, sequence, arrival)
        }
        return nil
    }

    /// Decides a buffer's range and key, and journals both before anything is sent.
    private func seal(
        from start: LogMark,
        limit: LogMark,
        _ sequence: UInt64,
        _ arrival: Timestamp
    ) async throws -> JournalEntry? {
        let entry = try await shared.diskThreads.run { [self] _ -> JournalEntry? in
            let settings = settings.withLock { $0 }
            // It may have been parked since the step was chosen.
            guard let (destination, template) = settings.target else { return nil }
            let end = try log.cut(
                from: start,
                maximumBytes: destination.bufferingHints.sizeInBytes,
                maximumRecords: .max,
                limit: limit
            )
            var generator = SystemRandomNumberGenerator()
            let plan = ObjectPlan(
                stream: name,
                version: settings.version,
                sequence: sequence,
                arrival: arrival,
                destination: destination,
                template: template,
                generator: &generator
            )
            let entry = JournalEntry(
                sequence: sequence,
                start: start,
                end: end,
                plan: plan,
                firstAttempt: shared.options.time.now()
            )
            try journal.add(entry)
            return entry
        }
        if let entry { machine.withLock { $0.sealed(end: entry.end) } }
        return entry
    }

    // MARK: One buffer

    /// Brings a buffer to an end: delivered, or set aside when its time is up.
    ///
    /// Returns early only when the task is cancelled.
    private func deliver(_ entry: JournalEntry) async {
        do {
            var attempts = 0
            var delays = shared.options.retryDelays
            var troubleDelays = Self.troubleDelays
            var generator = SystemRandomNumberGenerator()
            while true {
                do {
                    if try await attempt(entry, &attempts, &delays) { break }
                } catch let trouble as Trouble {
                    // Out of the way of other streams' buffers while it waits.
                    logger.error(trouble.message, metadata: ["error": "\(trouble.cause)"])
                    try Task.checkCancellation()
                    await pause(.seconds(2) + troubleDelays.next(using: &generator))
                }
            }
            try await settle(entry)
            signal.notify()
        } catch {
            // Only cancellation ends up here: the journal keeps the buffer for the next start.
            logger.debug("delivery interrupted", metadata: ["key": "\(entry.plan.key)"])
        }
    }

    /// What can only fail for want of disk, of a key or the like, and is tried until it works.
    private struct Trouble: Error {
        var message: Logger.Message
        var cause: any Error
    }

    private static let troubleDelays = RetryDelays(base: .seconds(5), cap: .seconds(60))

    private func trying<Value: Sendable>(
        _ message: Logger.Message,
        _ work: () async throws -> Value
    ) async throws -> Value {
        do {
            return try await work()
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            throw Trouble(message: message, cause: error)
        }
    }

    /// Spools the buffer and sends it until it is settled, or until another buffer needs the place
    /// on disk: false then, and the next call spools it again, byte for byte.
    ///
    /// - Throws: `Trouble`, with the place on disk given back; `CancellationError`.
    private func attempt(
        _ entry: JournalEntry,
        _ attempts: inout Int,
        _ delays: inout RetryDelays
    ) async throws -> Bool {
        try await shared.spoolPlaces.take()
        defer { shared.spoolPlaces.giveBack() }
        let spool = try await trying("the buffer cannot be read or spooled") { [self] in
            try await shared.spoolThreads.run { [self] flag in
                try shared.spooler.spool(log, entry, name: "\(name)-\(entry.sequence)") {
                    try flag.check()
                }
            }
        }
        if attempts == 0 { try await report(spool.damaged) }
        guard spool.records > 0 else { return true }
        while true {
            attempts += 1
            let failure: DeliveryFailure
            switch try await shared.options.store.put(spool.object, as: entry.plan) {
            case .delivered:
                logger.info(
                    "delivered",
                    metadata: facts(spool, entry, ["attempts": "\(attempts)"])
                )
                return true
            case .failed(let reason): failure = reason
            }
            if isTimeUp(for: entry) {
                try await putAside(spool, entry, failure)
                return true
            }
            logger.warning(
                "delivery failed, another try follows",
                metadata: facts(
                    spool,
                    entry,
                    ["attempts": "\(attempts)", "error": "\(failure)"]
                )
            )
            var generator = SystemRandomNumberGenerator()
            let delay = delays.next(using: &generator)
            try await shared.options.time.sleep(until: shared.options.time.now() + delay)
            if shared.spoolPlaces.isWaitedFor { return false }
        }
    }

    /// The retry duration counts from the first attempt, over restarts; but a server that was down
    /// for long tries for a while before it gives up.
    private func isTimeUp(for entry: JournalEntry) -> Bool {
        let now = shared.options.time.now()
        let most = shared.options.retryDuration
        let least = min(.seconds(Limits.minimumRetrySecondsAfterStart), most / 10)
        return now - entry.firstAttempt >= most && now - startedAt >= least
    }

    private func putAside(
        _ spool: Spooler.Spool,
        _ entry: JournalEntry,
        _ failure: DeliveryFailure
    ) async throws {
        let (path, total) = try await trying("the object cannot be set aside") { [self] in
            try await shared.spoolThreads.run { [setAside] _ in
                try setAside.keep(spool.object, as: entry.plan, records: spool.records)
            }
        }
        logger.error(
            "set aside: not delivered in time",
            metadata: facts(
                spool,
                entry,
                ["path": "\(path)", "error": "\(failure)", "records_set_aside": "\(total)"]
            )
        )
    }

    private func report(_ damaged: [LogDamage]) async throws {
        for damage in damaged {
            let path = try await trying("a damaged range cannot be set aside") { [self] in
                try await shared.diskThreads.run { [setAside] _ in try setAside.keep(damage) }
            }
            logger.error(
                "acknowledged records are lost to damage in the log; what is left is set aside",
                metadata: [
                    "path": "\(path)", "location": "\(damage.location)",
                    "reason": "\(damage.reason)", "bytes": "\(damage.end - damage.start)",
                ]
            )
        }
    }

    /// Moves the checkpoint as far as buffers are settled in order, then forgets those.
    private func settle(_ entry: JournalEntry) async throws {
        guard let progress = machine.withLock({ $0.settled(entry.sequence) }) else { return }
        try await untilDone("the checkpoint cannot be moved") { [self] in
            try await shared.diskThreads.run { [self] _ in
                try checkpointLock.withLock { _ in
                    let current = log.checkpoint(of: Self.reader)
                    // A later buffer's settlement may have been quicker, and stands for this one.
                    if current.position < progress.checkpoint.position {
                        try log.moveCheckpoint(of: Self.reader, to: progress.checkpoint)
                    }
                }
                for sequence in progress.finished { try journal.remove(sequence) }
            }
        }
    }

    private func facts(
        _ spool: Spooler.Spool,
        _ entry: JournalEntry,
        _ more: Logger.Metadata
    ) -> Logger.Metadata {
        let facts: Logger.Metadata = [
            "bucket": "\(entry.plan.bucket)", "key": "\(entry.plan.key)",
            "records": "\(spool.records)", "bytes": "\(spool.dataBytes)",
            "object_bytes": "\(spool.object.byteCount)",
        ]
        return facts.merging(more) { _, new in new }
    }

    /// Repeats what can only fail for want of disk or the like, until it works.
    private func untilDone<Value: Sendable>(
        _ trouble: Logger.Message,
        _ work: () async throws -> Value
    ) async throws -> Value {
        while true {
            do {
                return try await work()
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                logger.error(trouble, metadata: ["error": "\(error)"])
                try Task.checkCancellation()
                await pause(.seconds(5))
            }
        }
    }

    private func pause(_ duration: Duration) async {
        let time = shared.options.time
        try? await time.sleep(until: time.now() + duration)  // cancellation shows in the loop
    }
}
