internal import Destinations
internal import Logging
internal import Platform
internal import Records

/// One buffer's way into a bucket: its objects are spooled, sent until they are stored, and set aside when
/// their time is up.
struct ObjectDelivery {
    private let entry: JournalEntry
    private let context: PipelineContext
    private var retrier: Retrier
    /// By key.
    private var attempts: [String: Int] = [:]
    /// Keys of objects that are where they should be.
    private var done: Set<String> = []
    /// Keys of those that are on this server's disk.
    private var setAside: Set<String> = []
    private var hasReported = false

    init(_ entry: JournalEntry, _ context: PipelineContext) {
        self.entry = entry
        self.context = context
        let options = context.environment.options
        retrier = Retrier(options.retryDelays, options.time)
    }

    /// Brings the buffer's objects to an end: each is stored, or set aside when its time is up; then
    /// `further`, which is stored behind the buffer's own object where that is stored.
    ///
    /// - Returns: The buffer's own object, where it and what is behind it are stored.
    /// - Throws: `CancellationError` alone.
    mutating func run(
        further: @escaping @Sendable (Spooler.Part) throws -> Spooler.Part?
    ) async throws -> Spooler.Part? {
        while true {
            let stored = try await context.untilDone("a buffer cannot be delivered") {
                try await place(further)
            }
            if let stored { return stored.own }
        }
    }

    /// The buffer's own object; nil if it is set aside or the buffer has none.
    private struct Stored {
        var own: Spooler.Part?
    }

    /// Spools the buffer and sends it until it is settled, or until another buffer needs the place
    /// on disk: nil then, and the next call spools it again, byte for byte.
    ///
    /// - Throws: `Retrier.Trouble`, with the place on disk given back; `CancellationError`.
    private mutating func place(
        _ further: @escaping @Sendable (Spooler.Part) throws -> Spooler.Part?
    ) async throws -> Stored? {
        try await context.environment.spoolPlaces.holding {
            let spool = try await self.spool()
            if !hasReported { try await context.report(spool.damaged) }
            hasReported = true
            for part in spool.parts where !done.contains(part.plan.key) {
                guard try await send(part) else { return nil }
                done.insert(part.plan.key)
            }
            guard let own = spool.parts.first(where: { $0.failure == nil }),
                !setAside.contains(own.plan.key)
            else { return Stored(own: nil) }
            let behind = try await context.trying("a manifest cannot be spooled") {
                try await context.environment.diskThreads.run { _ in try further(own) }
            }
            guard let behind else { return Stored(own: own) }
            guard try await send(behind) else { return nil }
            return Stored(own: setAside.contains(behind.plan.key) ? nil : own)
        }
    }

    private func spool() async throws -> Spooler.Spool {
        try await context.trying("the buffer cannot be read or spooled") {
            [context, entry] in
            try await context.environment.spoolThreads.run { flag in
                let name = context.spoolName(entry.sequence)
                return try context.environment.spooler.spool(context.log, entry, name: name) {
                    try flag.check()
                }
            }
        }
    }

    /// Sends an object until it is settled; false where another buffer needs the place on disk.
    private mutating func send(_ part: Spooler.Part) async throws -> Bool {
        let places = context.environment.spoolPlaces
        var retrier = retrier
        defer { self.retrier = retrier }
        return try await retrier.attempts { number in
            if number > 1, places.isWaitedFor { return .done(false) }
            attempts[part.plan.key, default: 0] += 1
            let made = attempts[part.plan.key, default: 0]
            let outcome = try await context.environment.options.store.put(
                part.object,
                as: part.plan
            )
            count(part, outcome)
            switch outcome {
            case .delivered:
                context.logger.info(
                    message(for: part),
                    metadata: part.facts(["attempts": "\(made)"])
                )
                return .done(true)
            case .failed(let failure):
                if isTimeUp {
                    try await putAside(part, failure)
                    setAside.insert(part.plan.key)
                    return .done(true)
                }
                context.metrics.retries()
                context.logger.warning(
                    "S3 PUT failed; retrying",
                    metadata: part.facts(["attempts": "\(made)", "error": "\(failure)"])
                )
                return .again(RetryWait())
            }
        }
    }

    private func count(_ part: Spooler.Part, _ outcome: DeliveryOutcome) {
        let isDelivered = outcome == .delivered
        if let type = part.failure {
            if isDelivered { context.metrics.failed(type, records: part.records) }
        } else if part.plan == entry.plan {
            context.metrics.requested(
                context.role == .backup ? .backup : .s3,
                PipelineMetrics.Requests(
                    records: isDelivered ? part.records : 0,
                    bytes: isDelivered ? part.dataBytes : 0,
                    isSuccess: isDelivered
                )
            )
        }
    }

    private func message(for part: Spooler.Part) -> Logger.Message {
        if context.role == .backup { return "backed up" }
        if part.failure != nil { return "failed records are kept" }
        return part.plan == entry.plan ? "delivered" : "the manifest is stored"
    }

    /// The retry duration counts from the first attempt, over restarts.
    private var isTimeUp: Bool {
        let now = context.time.steady()
        return context.allowance(context.environment.options.retryDuration)
            .left(used: now - entry.firstAttempt, now: now) <= .zero
    }

    private func putAside(_ part: Spooler.Part, _ failure: DeliveryFailure) async throws {
        let (path, total) = try await context.trying("the object cannot be set aside") {
            [context] in
            try await context.environment.spoolThreads.run { _ in
                try context.setAside.keep(part.object, as: part.plan, records: part.records)
            }
        }
        context.metrics.setAside(records: part.records)
        context.logger.error(
            "set aside: not delivered in time",
            metadata: part.facts([
                "path": "\(path)", "error": "\(failure)", "records_set_aside": "\(total)",
            ])
        )
    }
}

extension Spooler.Part {
    /// What the log says of an object.
    func facts(_ more: Logger.Metadata) -> Logger.Metadata {
        var facts: Logger.Metadata = [
            "bucket": "\(plan.bucket)", "key": "\(plan.key)", "records": "\(records)",
            "bytes": "\(dataBytes)", "object_bytes": "\(object.byteCount)",
        ]
        if let failure { facts["error_output_type"] = "\(failure.rawValue)" }
        return facts.merging(more) { _, new in new }
    }
}
