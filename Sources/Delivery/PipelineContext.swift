internal import Destinations
package import Logging
internal import Platform
package import Records
internal import Synchronization

/// What all work of one pipeline goes by: its log and journal, its clock, its counters.
package final class PipelineContext: Sendable {
    /// The stream's name.
    package let stream: String
    /// Which way out of the stream it is.
    package let role: PipelineRole
    /// What the pipeline empties.
    package let log: any RecordLog
    /// What all pipelines have in common.
    package let environment: DeliveryEnvironment
    /// For lines about the stream.
    package let logger: Logger
    /// When the pipeline began to run in this process.
    let startedAt: Timestamp
    let journal: any BufferJournal
    let setAside: SetAside
    let outage: Outage
    let metrics: PipelineMetrics
    let requests: RecordRequests
    /// One COPY at a time.
    let copyPlaces = Semaphore(1)
    /// The stream's destination as it is configured now.
    let destination = Mutex<DestinationConfiguration?>(nil)

    init(
        _ role: PipelineRole,
        of stream: String,
        log: any RecordLog,
        journal: any BufferJournal,
        _ environment: DeliveryEnvironment
    ) {
        self.role = role
        self.stream = stream
        self.log = log
        self.journal = journal
        self.environment = environment
        let factory = environment.options.metrics
        metrics = PipelineMetrics(stream: stream, role: role, factory)
        outage = Outage(stream: stream, pipeline: role.rawValue, factory)
        requests = RecordRequests(stream: stream, environment)
        setAside = SetAside(
            folder: environment.setAsideFolder + "/" + LocalBucketStore.pathComponent(stream)
        )
        var logger = environment.logger
        logger[metadataKey: "stream"] = "\(stream)"
        self.logger = logger
        startedAt = environment.options.time.steady()
    }

    /// The clock.
    package var time: any TimeSource { environment.options.time }

    /// What a buffer's files are called.
    func spoolName(_ sequence: UInt64) -> String { "\(stream)-\(role.rawValue)-\(sequence)" }

    /// How long something is tried.
    func allowance(_ duration: Duration) -> RetryAllowance {
        RetryAllowance(duration, serverStart: startedAt)
    }

    /// Repeats what can only fail for want of disk, of a key or the like, until it works.
    ///
    /// - Throws: `CancellationError` alone.
    package func untilDone<Value>(
        _ message: Logger.Message,
        _ work: () async throws -> Value
    ) async throws -> Value {
        var retrier = environment.troubleRetrier
        return try await retrier.untilDone(message, logger, work)
    }

    /// Runs a part of what `untilDone` repeats, and says what could not be done.
    ///
    /// - Throws: `Retrier.Trouble`; `CancellationError`.
    func trying<Value>(
        _ message: Logger.Message,
        _ work: () async throws -> Value
    ) async throws -> Value {
        do {
            return try await work()
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            throw Retrier.Trouble(message: message, cause: error)
        }
    }

    /// The same on the threads for what is over soon.
    func onDisk<Value: Sendable>(
        _ message: Logger.Message,
        _ work: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        try await untilDone(message) { [environment] in
            try await environment.diskThreads.run { _ in try work() }
        }
    }

    /// The same on the threads for whole buffers; the work is given what throws once it is not wanted any
    /// more.
    func spooling<Value: Sendable>(
        _ message: Logger.Message,
        _ work: @escaping @Sendable (CancellationFlag) throws -> Value
    ) async throws -> Value {
        try await untilDone(message) { [environment] in
            try await environment.spoolThreads.run(work)
        }
    }

    /// Makes durable what is new about a buffer.
    func note(_ note: JournalNote, of sequence: UInt64) async throws {
        try await untilDone("the journal cannot be written") { [journal] in
            try await journal.note(note, of: sequence)
        }
    }

    /// Keeps what is left of damaged parts of the log, and tells of them.
    package func report(_ damaged: [LogDamage]) async throws {
        for damage in damaged {
            let path = try await onDisk("a damaged range cannot be set aside") { [setAside, role] in
                try setAside.keep(damage, of: role.rawValue)
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

    /// Decides a buffer's range and its objects' keys, and journals that before anything is sent.
    ///
    /// - Parameters:
    ///   - cut: What it is cut from.
    ///   - target: Where its objects go.
    ///   - failedType: What its records are delivered as that their destination does not take; nil for a
    ///     buffer that becomes an object.
    ///   - use: What becomes of it beyond its object.
    /// - Returns: The entry that counts.
    /// - Throws: What the log or the journal says; `CancellationError`.
    func seal(
        _ cut: BufferCut,
        _ target: DeliveryTarget,
        failedType: ErrorOutputType? = nil,
        _ use: @escaping @Sendable (_ object: ObjectPlan) -> JournalEntry.Use
    ) async throws -> JournalEntry {
        let proposed = try await environment.diskThreads.run { [self] _ in
            let end = try log.cut(
                from: cut.start,
                maximumBytes: cut.bytes,
                maximumRecords: .max,
                limit: cut.limit
            )
            let plans = target.plans(stream: stream, cut, failedType: failedType)
            let use = use(plans.main)
            return JournalEntry(
                sequence: cut.sequence,
                start: cut.start,
                end: end,
                plan: plans.main,
                failurePlans: plans.failures,
                records: use.records,
                copy: use.copy,
                firstAttempt: time.steady()
            )
        }
        return try await journal.propose(proposed)
    }
}
