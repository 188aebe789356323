internal import Delivery
internal import Logging
internal import Platform
internal import Records
internal import Synchronization
internal import Transforms

/// Everything that empties one stream's log: its ways out, and the outcome log between them where the
/// stream is transformed.
final class StreamDelivery: Sendable {
    /// The stream's own log.
    let log: any RecordLog
    let folder: String
    let environment: StreamEnvironment
    let main: Way
    /// Whether it cannot be told what was transformed, because the outcome log's key is missing: until
    /// the next start, nothing is.
    private let isProgressUnknown: Bool
    /// Why records can neither be read nor appended; nil where nothing is in the way.
    let encryptionFailure: LogKeyFailure?
    /// Changes on the registry's thread for changes alone.
    let parts: Mutex<Parts>

    struct Parts {
        var stage: TransformStage?
        var outcome: Outcome?
        var backup: Way?
        /// A backup that is no longer asked for, until its reader is gone.
        var endingBackup: Task<Void, Never>?
        /// Takes flushes on to the outcome's log.
        var flushing: Task<Void, Never>?
    }
    let flushes = Flushes()
    /// The stream's own log is delivered or transformed a little further.
    let settlements = Signal()
    private let transformMetrics: TransformMetrics

    /// A pipeline that runs.
    struct Way {
        var pipeline: StreamPipeline
        var task: Task<Void, Never>

        init(_ pipeline: StreamPipeline) {
            self.pipeline = pipeline
            task = Task { await pipeline.run() }
        }
    }

    struct Outcome {
        var log: OutcomeLog
        var way: Way
    }

    private static let log = "/log"
    private static let outcome = "/outcome"

    /// The names of the logs that the stream in a folder has, or may have had.
    static func logs(of folder: String) -> [String] { [folder + log, folder + outcome] }

    /// Opens what is in the stream's `folder`, and goes on where its journals and checkpoints say.
    ///
    /// Blocks.
    init(
        _ stream: DeliveryStream,
        folder: String,
        _ environment: StreamEnvironment
    ) throws {
        self.folder = folder
        self.environment = environment
        transformMetrics = TransformMetrics(
            stream: stream.name,
            environment.delivery.options.metrics
        )
        let journal = try Self.journal(.source, folder, environment)
        let backupJournal = try Self.journal(.backup, folder, environment)
        // What is wrong with it, the registry says.
        let processing = (try? StreamRules.processing(of: stream)) ?? nil
        let backs = StreamRules.keepsBackup(stream)
        let outcome = try Self.presentOutcome(stream, processing, folder, environment)
        let progress: OutcomeRecord.Progress?
        (progress, isProgressUnknown) = try Self.progress(outcome?.log)
        log = try environment.logs.open(
            folder + Self.log,
            for: LogUse(
                readers: [PipelineRole.source.reader]
                    + (backs ? [PipelineRole.backup.reader] : []),
                floors: (journal.entries + backupJournal.entries).map(\.end)
                    + [progress?.end].compactMap(\.self),
                isEncrypted: stream.encryption != nil
            )
        )
        encryptionFailure = log.encryptionFailure ?? outcome?.log.log.encryptionFailure
        if let outcome, !isProgressUnknown {
            try Self.catchUp(log, progress)
            try outcome.log.forgetProgress()
            if log.isEncryptionInUse { try outcome.log.log.setEncryption(true) }
        }
        let stage = Self.stage(processing, outcome?.log, stream, environment, transformMetrics)
        let main = try StreamPipeline(
            .source,
            of: stream.name,
            settings: isProgressUnknown
                ? .parked : try Self.settings(stream, stage, outcome?.log),
            log: log,
            journal: journal.journal,
            environment: environment.delivery,
            onSettlement: { [settlements] in settlements.notify() }
        )
        let outcomePipeline = try outcome.map {
            try Self.outcome(stream, $0.log, $0.journal, environment, main)
        }
        let backup = backs ? try Self.backup(stream, log, backupJournal, environment) : nil
        // Nothing can fail any more.
        self.main = Way(main)
        var parts = Parts(stage: stage, backup: backup.map { Way($0) })
        if let outcome, let outcomePipeline {
            parts.outcome = Outcome(log: outcome.log, way: Way(outcomePipeline))
        }
        self.parts = Mutex(parts)
    }

    // MARK: Parts

    typealias Journal = (journal: FileJournal, entries: [JournalEntry])

    static func journal(
        _ role: PipelineRole,
        _ folder: String,
        _ environment: StreamEnvironment
    ) throws -> Journal {
        let journal = try FileJournal(
            folder: folder + "/" + role.journal,
            threads: environment.delivery.diskThreads,
            masterKeys: environment.delivery.options.masterKeys
        )
        return (journal, try journal.load())
    }

    private static func openOutcome(
        _ folder: String,
        _ environment: StreamEnvironment,
        isEncrypted: Bool
    ) throws -> (log: OutcomeLog, journal: Journal) {
        let journal = try journal(.outcome, folder, environment)
        let log = try OutcomeLog(
            folder + outcome,
            logs: environment.logs,
            floors: journal.entries.map(\.end),
            isEncrypted: isEncrypted
        )
        return (log, journal)
    }

    /// The outcome log of a stream that is transformed, or was; nil for others.
    private static func presentOutcome(
        _ stream: DeliveryStream,
        _ processing: Processing?,
        _ folder: String,
        _ environment: StreamEnvironment
    ) throws -> (log: OutcomeLog, journal: Journal)? {
        guard processing?.changesRecords == true || environment.logs.exists(folder + outcome)
        else { return nil }
        return try openOutcome(folder, environment, isEncrypted: stream.encryption != nil)
    }

    /// How far the outcome log says that the stream was transformed, or that it cannot be told because its
    /// key is missing.
    private static func progress(
        _ outcome: OutcomeLog?
    ) throws -> (OutcomeRecord.Progress?, isUnknown: Bool) {
        do {
            return (try outcome?.lastProgress(), false)
        } catch {
            guard outcome?.log.encryptionFailure != nil else { throw error }
            return (nil, true)
        }
    }

    /// Moves the stream's own checkpoint to where the outcome log says that it was transformed to.
    private static func catchUp(
        _ log: any RecordLog,
        _ progress: OutcomeRecord.Progress?
    ) throws {
        guard let progress else { return }
        let reader = PipelineRole.source.reader
        let checkpoint = log.checkpoint(of: reader)
        guard progress.end.position > checkpoint.position else { return }
        let mark =
            progress.isComplete
            ? progress.end
            : try log.cut(
                from: progress.start,
                maximumBytes: .max,
                maximumRecords: progress.records,
                limit: progress.end
            )
        if mark.position > checkpoint.position { try log.moveCheckpoint(of: reader, to: mark) }
    }

    private static func stage(
        _ processing: Processing?,
        _ outcome: OutcomeLog?,
        _ stream: DeliveryStream,
        _ environment: StreamEnvironment,
        _ metrics: TransformMetrics
    ) -> TransformStage? {
        guard let processing, processing.changesRecords, let outcome else { return nil }
        return TransformStage(
            processing,
            into: outcome,
            of: stream,
            environment.transforms,
            metrics
        )
    }

    /// What becomes of the stream's own log: behind what was transformed before, where it is no more.
    private static func settings(
        _ stream: DeliveryStream,
        _ stage: TransformStage?,
        _ outcome: OutcomeLog?
    ) throws -> PipelineSettings {
        var settings = try PipelineSettings.of(.source, stream, stage)
        if stage == nil, let outcome {
            settings.processor = OutcomeBarrier(before: settings.processor, outcome)
        }
        return settings
    }

    private static func outcome(
        _ stream: DeliveryStream,
        _ log: OutcomeLog,
        _ journal: Journal,
        _ environment: StreamEnvironment,
        _ main: StreamPipeline
    ) throws -> StreamPipeline {
        try StreamPipeline(
            .outcome,
            of: stream.name,
            settings: try .of(.outcome, stream, nil),
            log: log.log,
            journal: journal.journal,
            environment: environment.delivery,
            notes: { log.progressRecords(from: $0, to: $1) },
            onSettlement: { main.wake() }
        )
    }

    /// All pipelines that run.
    private var pipelines: [StreamPipeline] {
        let (outcome, backup) = parts.withLock { ($0.outcome, $0.backup) }
        return [main.pipeline, outcome?.way.pipeline, backup?.pipeline].compactMap(\.self)
    }

    /// Tells how things are now.
    func updateMetrics() {
        for pipeline in pipelines { pipeline.updateMetrics() }
        if let stage = parts.withLock(\.stage) {
            stage.updateMetrics()
        } else {
            transformMetrics.processesAreGone()
        }
    }

    /// How long the oldest record that is not delivered waits, and how long buffers do before they are
    /// sent; nil where nothing waits.
    ///
    /// `now` is steady.
    func freshness(now: Timestamp) -> (age: Duration, interval: Duration)? {
        let all = pipelines
        guard let oldest = all.compactMap(\.oldestPending).min() else { return nil }
        let seconds = all.reduce(0) { $0 + $1.intervalSeconds }
        return (max(.zero, now - oldest), .seconds(seconds))
    }

    // MARK: Changes

    /// Makes what a changed configuration needs on disk, before it is stored: what may fail, fails here.
    ///
    /// Blocks; called by one thread at a time.
    ///
    /// - Throws: `BackupIsEnding` where it has to be called again after that.
    func prepare(_ stream: DeliveryStream) throws {
        let processing = try StreamRules.processing(of: stream)
        let (outcome, backup) = parts.withLock { ($0.outcome, $0.backup) }
        if outcome == nil, processing?.changesRecords == true {
            let opened = try Self.openOutcome(
                folder,
                environment,
                isEncrypted: stream.encryption != nil || log.isEncryptionInUse
            )
            let pipeline = try Self.outcome(
                stream,
                opened.log,
                opened.journal,
                environment,
                main.pipeline
            )
            let new = Outcome(log: opened.log, way: Way(pipeline))
            parts.withLock { $0.outcome = new }
        }
        if backup == nil, StreamRules.keepsBackup(stream) { try addBackup(stream) }
    }

    /// Brings a changed configuration into effect, for all that is in no buffer yet.
    ///
    /// Blocks; called by one thread at a time, after `prepare`.
    func update(_ stream: DeliveryStream) throws {
        let processing = try StreamRules.processing(of: stream)
        let old = parts.withLock { $0 }
        var stage = old.stage
        if (processing?.changesRecords == true ? processing : nil) != stage?.processing {
            stage = Self.stage(
                processing,
                old.outcome?.log,
                stream,
                environment,
                transformMetrics
            )
        }
        try old.outcome?.way.pipeline.update(.of(.outcome, stream, nil))
        try old.backup?.pipeline.update(.of(.backup, stream, nil))
        main.pipeline.update(
            isProgressUnknown ? .parked : try Self.settings(stream, stage, old.outcome?.log)
        )
        if let former = old.stage, former !== stage { former.retire() }
        parts.withLock { [stage] in $0.stage = stage }
        if let backup = old.backup, !StreamRules.keepsBackup(stream) {
            parts.withLock { $0.backup = nil }
            end(backup)
        }
    }

    /// Encrypts what is kept from now on, or keeps it as it is.
    ///
    /// What was encrypted once stays so on its further way until the next start: of what is in the log, it
    /// is not known where it goes.
    func setEncryption(_ isOn: Bool) throws {
        try log.setEncryption(isOn)
        if isOn { try parts.withLock { $0.outcome }?.log.log.setEncryption(true) }
    }

    // MARK: The end

    /// Stops to begin anything.
    func cancel() {
        main.task.cancel()
        let parts = parts.withLock { $0 }
        parts.outcome?.way.task.cancel()
        parts.backup?.task.cancel()
        parts.flushing?.cancel()
    }

    /// Stops: no record is taken any more, what was taken is durable, no process is left, all files are
    /// closed.
    func stop() async {
        cancel()
        await parts.withLock(\.endingBackup)?.value
        await log.close()
        let parts = parts.withLock { $0 }
        await parts.stage?.close()
        await main.task.value
        await parts.outcome?.way.task.value
        await parts.backup?.task.value
        if let outcome = parts.outcome { await outcome.log.log.close() }
    }

    /// Records that are not where they should be.
    var pendingRecords: UInt64 {
        let passed = log.checkpoint(of: PipelineRole.source.reader).records
        return max(log.tail.records, passed) - passed
    }
}
