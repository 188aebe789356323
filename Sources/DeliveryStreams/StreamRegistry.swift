package import Delivery
internal import Foundation
package import Logging
package import Platform
package import Records
internal import Synchronization
package import Transforms

/// All delivery streams of a server: their configuration on disk, their logs, their pipelines.
package final class StreamRegistry: DeliveryStreamRegistry, RecordAppender, Sendable {
    package let identity: ServiceIdentity
    let policy: StreamPolicy
    private let folder: DataFolder
    let store: any StreamStore
    let environment: StreamEnvironment
    /// Makes changes of configurations, one at a time.
    let changes: WorkerThreads
    let logger: Logger
    let entries = Mutex<[String: Entry]>([:])

    enum Entry {
        case creating
        case active(Active)
        case deleting(StreamDocument)
        case quarantined(Quarantine)
    }

    private let tapMemory = TapMemory()
    /// Bring streams back whose deletion failed, by their names.
    let returns = Mutex<[String: Task<Void, Never>]>([:])

    /// A stream that takes records.
    struct Active {
        var document: StreamDocument
        var log: any RecordLog
        var delivery: StreamDelivery
        var limiter: ThroughputLimiter?
        let metrics: StreamMetrics
        let tap: StreamTap

        var stream: DeliveryStream { document.stream }
    }

    /// Opens all streams of a data folder and starts their delivery; one that cannot be opened is put into
    /// quarantine.
    ///
    /// Blocks while it does. Their configurations are in that folder, unless there is another `store`.
    package init(
        folder: DataFolder,
        store: (any StreamStore)? = nil,
        logs: any RecordLogs,
        options: DeliveryOptions,
        transforms: TransformEnvironment = TransformEnvironment(),
        identity: ServiceIdentity,
        policy: StreamPolicy = StreamPolicy(),
        logger: Logger
    ) throws {
        self.identity = identity
        self.policy = policy
        self.folder = folder
        self.store = store ?? FileStreamStore(folder, logger)
        self.logger = logger
        environment = StreamEnvironment(
            logs: logs,
            delivery: DeliveryEnvironment(
                options: options,
                identity: identity,
                spoolFolder: folder.spool,
                setAsideFolder: folder.setAside,
                logger: logger
            ),
            transforms: transforms
        )
        changes = WorkerThreads(count: 1)
        for stored in try self.store.load() {
            let entry = try open(stored)
            entries.withLock { $0[stored.document.stream.name] = entry }
        }
    }

    /// Stops delivery, makes durable what was accepted, and closes the logs.
    package func shutDown() async {
        await endReturns()
        let all = entries.withLock { entries in
            defer { entries.removeAll() }
            return entries.values.compactMap { entry in
                if case .active(let active) = entry { active } else { nil }
            }
        }
        for active in all { active.delivery.cancel() }
        await withDiscardingTaskGroup { group in
            for active in all { group.addTask { await active.delivery.stop() } }
        }
        changes.close()
        environment.close()
    }

    func start(_ document: StreamDocument) throws -> Active {
        let stream = document.stream
        let folder = folder.stream(stream.name)
        let delivery = try StreamDelivery(stream, folder: folder, environment)
        if let failure = delivery.encryptionFailure {
            logger.error(
                "the stream's encrypted records wait on disk, and puts are refused",
                metadata: ["stream": "\(stream.name)", "error": "\(failure)"]
            )
        }
        do throws(FirehoseError) {
            _ = try StreamRules.processing(of: stream)
        } catch {
            logger.error(
                "the stream's records are kept and not delivered: its processing cannot be",
                metadata: ["stream": "\(stream.name)", "error": "\(error.message)"]
            )
        }
        for member in StreamRules.undeliverableMembers(of: stream.destination) {
            logger.warning(
                "the stream's records are kept and not delivered: a member is not supported",
                metadata: ["stream": "\(stream.name)", "member": "\(member)"]
            )
        }
        return Active(
            document: document,
            log: delivery.log,
            delivery: delivery,
            limiter: policy.limits.limiter(
                ofStream: stream.name,
                now: environment.time.steady()
            ),
            metrics: StreamMetrics(stream: stream.name, environment.delivery.options.metrics),
            tap: StreamTap(tapMemory, environment.time)
        )
    }

    // MARK: Records

    package func append(
        _ batch: RecordBatch,
        toStream name: String,
        by operation: PutOperation,
        completion: @escaping AppendCompletion
    ) {
        let began = ContinuousClock.now
        switch found(name) {
        case .success(let active):
            let count =
                active.limiter?.admit(batch, now: environment.time.steady()) ?? batch.recordCount
            let metrics = active.metrics
            metrics.began(operation)
            if count < batch.recordCount { metrics.throttled(batch.recordCount - count) }
            guard count > 0 || batch.recordCount == 0 else {
                metrics.ended(operation, began.duration(to: .now))
                return completion(.failure(.slowDown))
            }
            let admitted = count < batch.recordCount ? batch.prefix(count) : batch
            let (tap, time) = (active.tap, environment.time)
            active.log.append(admitted) { result in
                switch result {
                case .success(let receipt):
                    metrics.accepted(admitted, operation)
                    tap.offer(admitted, receipt, now: time.now)
                case .failure(let error):
                    if error.code == .serviceUnavailable { metrics.throttled(admitted.recordCount) }
                }
                metrics.ended(operation, began.duration(to: .now))
                completion(result)
            }
        case .failure(let error): completion(.failure(error))
        }
    }

    /// The stream of that name, which takes records.
    func found(_ name: String) -> Result<Active, FirehoseError> {
        entries.withLock { entries in
            switch entries[name] {
            case .active(let active): .success(active)
            case .creating, .deleting: .failure(notActive(name))
            case .quarantined: .failure(quarantineError(name))
            case nil: .failure(.notFound(name, account: identity.account))
            }
        }
    }

    private func notActive(_ name: String) -> FirehoseError {
        FirehoseError(
            .resourceNotFound,
            "Firehose \(name) is not active in \(identity.account) account."
        )
    }

    /// The threads that touch the disk for all streams.
    package var diskThreads: WorkerThreads { environment.delivery.diskThreads }

    /// A stream that is behind.
    package struct LateStream: Sendable {
        /// Its name.
        package var stream: String
        /// How old its oldest undelivered record is.
        package var age: Duration
        /// How old it may be.
        package var bound: Duration
    }

    /// Streams whose oldest undelivered record is older than what their buffers wait for and `bound`
    /// together, in the order of their names.
    package func lateStreams(bound: Duration) -> [LateStream] {
        let now = environment.time.steady()
        let all = entries.withLock { entries in
            entries.compactMap { name, entry in
                if case .active(let active) = entry { (name, active.delivery) } else { nil }
            }
        }
        return all.sorted { $0.0 < $1.0 }.compactMap { name, delivery in
            guard let (age, interval) = delivery.freshness(now: now), age > interval + bound
            else { return nil }
            return LateStream(stream: name, age: age, bound: interval + bound)
        }
    }

    /// Tells how all streams are now, before what is measured is read.
    package func updateMetrics() {
        let all = entries.withLock { entries in
            entries.values.compactMap { entry in
                if case .active(let active) = entry { active.delivery } else { nil }
            }
        }
        for delivery in all { delivery.updateMetrics() }
    }

    // MARK: Control plane

    package func create(_ stream: DeliveryStream) async throws(FirehoseError) {
        try check(stream)
        let name = stream.name
        if let shortage = policy.shortage() {
            throw FirehoseError(
                .limitExceeded,
                "The stream \(name) cannot be created: \(shortage)."
            )
        }
        try reserve(name)
        do {
            let active = try await environment.delivery.diskThreads.run { [self] _ in
                let document = try store.put(stream, over: nil)
                do {
                    return try start(document)
                } catch {
                    let cause = error
                    do { try remove(document) } catch {
                        throw StreamLeftBehind(document: document, cause: "\(cause); \(error)")
                    }
                    throw error
                }
            }
            entries.withLock { $0[name] = .active(active) }
            logger.info("stream created", metadata: ["stream": "\(name)"])
            caution(active.stream)
        } catch {
            // One that is stored all the same is there to be deleted.
            let left = (error as? StreamLeftBehind).map {
                Entry.quarantined(quarantine($0.document, "\($0)"))
            }
            entries.withLock { $0[name] = left }
            logger.error(
                "a stream cannot be created",
                metadata: ["stream": "\(name)", "error": "\(error)"]
            )
            throw Self.failure(
                left == nil
                    ? "The stream \(name) could not be stored"
                    : "The stream \(name) could not be stored, and removing it failed: delete it",
                error
            )
        }
    }

    private func reserve(_ name: String) throws(FirehoseError) {
        let problem = entries.withLock { entries -> FirehoseError? in
            guard entries[name] == nil else {
                return FirehoseError(
                    .resourceInUse,
                    "Firehose \(name) under accountId \(identity.account) already exists"
                )
            }
            guard entries.count < Limits.maximumStreams else {
                return FirehoseError(
                    .limitExceeded,
                    "You have already consumed your firehose quota of \(Limits.maximumStreams)"
                )
            }
            entries[name] = .creating
            return nil
        }
        if let problem { throw problem }
    }

    package func describe(_ name: String) throws(FirehoseError) -> DescribedStream {
        let entry = entries.withLock { $0[name] }
        switch entry {
        case .active(let active): return DescribedStream(active.stream, .active)
        case .deleting(let document): return DescribedStream(document.stream, .deleting)
        case .quarantined(let quarantine):
            return DescribedStream(
                quarantine.document.stream,
                .creatingFailed,
                failure: Self.quarantineReason
            )
        case .creating, nil: throw .notFound(name, account: identity.account)
        }
    }

    package func list(after start: String?, limit: Int) -> (names: [String], hasMore: Bool) {
        let names = entries.withLock { Array($0.keys) }
            .filter { name in start.map { name > $0 } ?? true }
            .sorted()
        return (Array(names.prefix(limit)), names.count > limit)
    }

    package func delete(_ name: String) async throws(FirehoseError) {
        let entry = try beginDeleting(name)
        // A change that is under way ends before the folder goes.
        try? await changes.run { _ in }
        var discarded: UInt64?
        if case .active(let active) = entry {
            await active.delivery.stop()
            discarded = active.delivery.pendingRecords
        }
        if let document = document(inDeletion: name) { try await removeFiles(of: document, entry) }
        entries.withLock { $0[name] = nil }
        logger.info(
            "stream deleted",
            metadata: [
                "stream": "\(name)",
                "records_discarded": "\(discarded.map(String.init) ?? "unknown")",
            ]
        )
    }

    /// The stream as the last change before its deletion left it.
    private func document(inDeletion name: String) -> StreamDocument? {
        entries.withLock { entries in
            if case .deleting(let document) = entries[name] { document } else { nil }
        }
    }

    /// A stream that a failure leaves is brought back.
    private func removeFiles(
        of document: StreamDocument,
        _ entry: Entry
    ) async throws(FirehoseError) {
        let name = document.stream.name
        do {
            try await environment.delivery.diskThreads.run { [self] _ in try remove(document) }
        } catch {
            logger.error(
                "a deleted stream's files cannot be removed",
                metadata: ["stream": "\(name)", "error": "\(error)"]
            )
            guard store.contains(name) else { return }
            if case .quarantined = entry {
                entries.withLock { $0[name] = entry }
            } else {
                await bringBack(document)
            }
            throw FirehoseError(.serviceUnavailable, "The stream could not be deleted.")
        }
    }

    /// Removes a stream, and its logs where they are kept elsewhere than in its folder.
    private func remove(_ document: StreamDocument) throws {
        let name = document.stream.name
        try store.remove(name, document.revision)
        for log in StreamDelivery.logs(of: folder.stream(name)) { try environment.logs.remove(log) }
    }

    /// What it was before: active, or in quarantine.
    private func beginDeleting(_ name: String) throws(FirehoseError) -> Entry {
        let result = entries.withLock { entries -> Result<Entry, FirehoseError> in
            switch entries[name] {
            case .active(let active):
                entries[name] = .deleting(active.document)
                return .success(.active(active))
            case .quarantined(let quarantine):
                entries[name] = .deleting(quarantine.document)
                return .success(.quarantined(quarantine))
            case .creating, .deleting:
                return .failure(
                    FirehoseError(.resourceInUse, "Firehose \(name) is being created or deleted.")
                )
            case nil:
                return .failure(.notFound(name, account: identity.account))
            }
        }
        return try result.get()
    }
}
