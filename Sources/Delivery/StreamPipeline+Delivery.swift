internal import Destinations
internal import Logging
internal import Platform
internal import Records

/// One buffer's way to the destination.
extension StreamPipeline {
    /// Brings a buffer to an end: delivered, or set aside when its time is up.
    ///
    /// Returns early only when the task is cancelled.
    func deliver(_ entry: JournalEntry) async {
        do {
            var effort = Effort(delays: shared.options.retryDelays)
            var entry = entry
            try await overTrouble {
                // Out of the way of other streams' buffers while it waits.
                if entry.load == nil { while try await !attempt(&entry, &effort) {} }
                if let copy = entry.copy, entry.load != nil { try await load(&entry, copy) }
            }
            try await settle(entry)
        } catch {
            // Only cancellation ends up here: the journal keeps the buffer for the next start.
            logger.debug("delivery interrupted", metadata: ["key": "\(entry.plan.key)"])
        }
    }

    /// What was done for a buffer so far.
    private struct Effort {
        /// By key.
        var attempts: [String: Int] = [:]
        var delays: RetryDelays
        /// Keys of objects that are where they should be.
        var done: Set<String> = []
        /// Keys of those that are on this server's disk.
        var setAside: Set<String> = []
    }

    /// Spools the buffer and sends it until it is settled, or until another buffer needs the place
    /// on disk: false then, and the next call spools it again, byte for byte.
    ///
    /// - Throws: `Trouble`, with the place on disk given back; `CancellationError`.
    private func attempt(
        _ entry: inout JournalEntry,
        _ effort: inout Effort
    ) async throws -> Bool {
        try await shared.spoolPlaces.take()
        defer { shared.spoolPlaces.giveBack() }
        let spool = try await trying("the buffer cannot be read or spooled") { [self, entry] in
            try await shared.spoolThreads.run { [self] flag in
                let spoolName = "\(name)-\(role.rawValue)-\(entry.sequence)"
                return try shared.spooler.spool(log, entry, name: spoolName) { try flag.check() }
            }
        }
        if effort.attempts.isEmpty { try await report(spool.damaged) }
        for part in spool.parts where !effort.done.contains(part.plan.key) {
            guard try await send(part, entry, &effort) else { return false }
            effort.done.insert(part.plan.key)
        }
        guard let plan = entry.copy, let part = spool.parts.first(where: { $0.failure == nil }),
            !effort.setAside.contains(part.plan.key)
        else { return true }
        let manifest = try await trying("a manifest cannot be spooled") { [self, entry] in
            try await shared.diskThreads.run { [self] _ in
                try spooledManifest(plan, of: entry, byteCount: part.object.byteCount)
            }
        }
        guard try await send(manifest, entry, &effort) else { return false }
        guard !effort.setAside.contains(manifest.plan.key) else { return true }
        entry = try await stored(part, of: entry)
        return true
    }

    private func send(
        _ part: Spooler.Part,
        _ entry: JournalEntry,
        _ effort: inout Effort
    ) async throws -> Bool {
        var attempts: Int {
            get { effort.attempts[part.plan.key, default: 0] }
            set { effort.attempts[part.plan.key] = newValue }
        }
        while true {
            attempts += 1
            let failure: DeliveryFailure
            let outcome = try await shared.options.store.put(part.object, as: part.plan)
            count(part, entry, outcome)
            switch outcome {
            case .delivered:
                logger.info(
                    message(for: part, entry),
                    metadata: facts(part, ["attempts": "\(attempts)"])
                )
                return true
            case .failed(let reason): failure = reason
            }
            if isTimeUp(for: entry) {
                try await putAside(part, failure)
                effort.setAside.insert(part.plan.key)
                return true
            }
            metrics.retries()
            logger.warning(
                "delivery failed, another try follows",
                metadata: facts(
                    part,
                    ["attempts": "\(attempts)", "error": "\(failure)"]
                )
            )
            var generator = SystemRandomNumberGenerator()
            let delay = effort.delays.next(using: &generator)
            try await shared.options.time.sleep(until: shared.options.time.now() + delay)
            if shared.spoolPlaces.isWaitedFor { return false }
        }
    }

    private func count(_ part: Spooler.Part, _ entry: JournalEntry, _ outcome: DeliveryOutcome) {
        let isDelivered = outcome == .delivered
        if let type = part.failure {
            if isDelivered { metrics.failed(type, records: part.records) }
        } else if part.plan == entry.plan {
            metrics.requested(
                role == .backup ? .backup : .s3,
                records: isDelivered ? part.records : 0,
                bytes: isDelivered ? part.dataBytes : 0,
                isSuccess: isDelivered
            )
        }
    }

    private func message(for part: Spooler.Part, _ entry: JournalEntry) -> Logger.Message {
        if role == .backup { return "backed up" }
        if part.plan == entry.copy?.manifest { return "the manifest is stored" }
        return part.failure == nil ? "delivered" : "failed records are kept"
    }

    /// The retry duration counts from the first attempt, over restarts.
    private func isTimeUp(for entry: JournalEntry) -> Bool {
        let now = shared.options.time.now()
        let used = now - entry.firstAttempt
        return retryTimeLeft(shared.options.retryDuration, used: used, now: now) <= .zero
    }

    private func putAside(_ part: Spooler.Part, _ failure: DeliveryFailure) async throws {
        let (path, total) = try await trying("the object cannot be set aside") { [self] in
            try await shared.spoolThreads.run { [setAside] _ in
                try setAside.keep(part.object, as: part.plan, records: part.records)
            }
        }
        metrics.setAside(records: part.records)
        logger.error(
            "set aside: not delivered in time",
            metadata: facts(
                part,
                ["path": "\(path)", "error": "\(failure)", "records_set_aside": "\(total)"]
            )
        )
    }

    func facts(_ part: Spooler.Part, _ more: Logger.Metadata) -> Logger.Metadata {
        var facts: Logger.Metadata = [
            "bucket": "\(part.plan.bucket)", "key": "\(part.plan.key)",
            "records": "\(part.records)", "bytes": "\(part.dataBytes)",
            "object_bytes": "\(part.object.byteCount)",
        ]
        if let failure = part.failure { facts["error_output_type"] = "\(failure.rawValue)" }
        return facts.merging(more) { _, new in new }
    }
}
