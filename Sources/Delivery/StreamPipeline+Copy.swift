internal import Destinations
internal import Foundation
internal import JSON
internal import Logging
internal import Platform
internal import Records
internal import Synchronization

/// The way of a stored object into a warehouse.
extension StreamPipeline {
    /// Between two attempts (AWS's own wait 5 minutes: developer guide, "Data delivery failure
    /// handling").
    private static let copyDelays = RetryDelays(
        base: .seconds(1),
        cap: .seconds(300),
        jitter: .about(0.15)
    )

    /// Writes down that an object and its manifest are stored.
    func stored(_ part: Spooler.Part, of entry: JournalEntry) async throws -> JournalEntry {
        var entry = entry
        entry.load = LoadState(
            records: part.records,
            bytes: part.dataBytes,
            objectBytes: part.object.byteCount
        )
        try await write(entry)
        return entry
    }

    /// The manifest of an object, as an object.
    func spooledManifest(
        _ plan: CopyPlan,
        of entry: JournalEntry,
        byteCount: UInt64
    ) throws -> Spooler.Part {
        try spooled(plan, as: plan.manifest, entry, byteCount)
    }

    private func spooled(
        _ plan: CopyPlan,
        as object: ObjectPlan,
        _ entry: JournalEntry,
        _ byteCount: UInt64
    ) throws -> Spooler.Part {
        let name = "\(name)-\(role.rawValue)-\(entry.sequence)-manifest"
        let writer = try shared.spooler.writer(object, name: name, isEncrypted: false)
        let content = plan.content(of: entry.plan, byteCount: byteCount)
        try content.withUnsafeBytes { try writer.add($0) }
        return try writer.finish(nil)
    }

    /// Loads a stored object, or leaves its manifest where a back-fill finds it.
    ///
    /// - Throws: `Trouble`; `CancellationError`, after which the journal says what there is to do.
    func load(_ entry: inout JournalEntry, _ plan: CopyPlan) async throws {
        guard let copies = shared.options.copies, copies.isActive else {
            // Nothing loads here any more: what was tried is left for a back-fill.
            guard let attempts = entry.load?.attempts, attempts > 0 else { return }
            entry.load?.givenUp = .init(
                code: "Redshift.InternalError",
                message: "this server loads nothing (--copy none)"
            )
            try await write(entry)
            return try await giveUp(entry, plan)
        }
        var delays = Self.copyDelays
        while let state = entry.load, state.givenUp == nil {
            guard let pause = try await attempt(&entry, plan, copies, &delays) else { return }
            try await shared.options.time.sleep(until: shared.options.time.now() + pause)
        }
        try await giveUp(entry, plan)
    }

    /// Leaves a manifest where a back-fill finds it.
    private func giveUp(_ entry: JournalEntry, _ plan: CopyPlan) async throws {
        guard let state = entry.load else { return }
        let part = try await trying("a manifest cannot be spooled") { [self, entry] in
            try await shared.diskThreads.run { [self] _ in
                try spooled(plan, as: plan.errorManifest, entry, state.objectBytes)
            }
        }
        try await keep(part, hasGivenUp: true)
        logger.error(
            "COPY given up: its manifest is kept for a back-fill",
            metadata: [
                "manifest": "\(plan.errorManifest.url)", "code": "\(state.givenUp?.code ?? "")",
                "error": "\(state.givenUp?.code ?? ""): \(state.givenUp?.message ?? "")",
                "attempts": "\(state.attempts)", "records": "\(state.records)",
            ]
        )
    }

    /// Runs COPY once.
    ///
    /// - Returns: How long to wait before the next attempt; nil where the object is loaded.
    private func attempt(
        _ entry: inout JournalEntry,
        _ plan: CopyPlan,
        _ copies: CopyService,
        _ delays: inout RetryDelays
    ) async throws -> Duration? {
        guard var state = entry.load else { return nil }
        // One after the other; one that waits for its next attempt lets the others go.
        try await copyPlaces.take()
        defer { copyPlaces.giveBack() }
        let warehouse = try await trying("the warehouse's configuration cannot be used") {
            try self.warehouse(plan)
        }
        // What waits for others' COPYs is not tried yet.
        let gate = shared.copyGates.gate(warehouse, isSingle: copies.hasLedger)
        try await gate.take()
        defer { gate.giveBack() }
        try await shared.copyGates.all.take()
        defer { shared.copyGates.all.giveBack() }
        let now = shared.options.time.now()
        state.attempts += 1
        state.firstAttempt = state.firstAttempt ?? now
        let wasOpen = state.isOpen
        if !state.isOpen {
            state.number += 1
            state.isOpen = true
        }
        entry.load = state
        try await write(entry)
        let outcome = try await copies.load(
            CopyService.Job(
                warehouse: warehouse,
                manifest: plan.manifest.url,
                stream: name,
                token: "\(plan.manifest.uuid)-\(state.number)"
            )
        )
        let facts: Logger.Metadata = [
            "manifest": "\(plan.manifest.url)", "attempts": "\(state.attempts)",
            "records": "\(state.records)", "bytes": "\(state.bytes)",
        ]
        let failure: DeliveryFailure
        switch outcome {
        case .loaded:
            countLoad(state)
            logger.info("loaded", metadata: facts)
            return nil
        case .loadedBefore:
            countLoad(state)
            logger.info("loaded by an attempt whose end was not known", metadata: facts)
            return nil
        case .failed(let reason):
            failure = reason
            state.isOpen = false
        case .notRun(let reason):
            failure = reason
            state.isOpen = wasOpen
        case .unknown(let reason):
            failure = reason
        }
        metrics.copyFailed(failure.code)
        metrics.requested(.redshift, records: 0, bytes: 0, isSuccess: false)
        let left = copyTimeLeft(state, warehouse.retryDuration)
        if left <= .zero {
            state.givenUp = .init(code: failure.code, message: failure.message)
        }
        entry.load = state
        try await write(entry)
        guard left > .zero else { return .zero }
        metrics.retries()
        logger.warning(
            "COPY failed, another try follows",
            metadata: facts.merging(["code": "\(failure.code)", "error": "\(failure)"]) { _, new in
                new
            }
        )
        var generator = SystemRandomNumberGenerator()
        return min(delays.next(using: &generator), left)
    }

    private func countLoad(_ state: LoadState) {
        metrics.requested(.redshift, records: state.records, bytes: state.bytes, isSuccess: true)
    }

    private func copyTimeLeft(_ state: LoadState, _ duration: Duration) -> Duration {
        guard let first = state.firstAttempt, duration > .zero else { return .zero }
        let now = shared.options.time.now()
        return retryTimeLeft(duration, used: now - first, now: now)
    }

    /// The warehouse that a buffer was sealed for, with who we are there now.
    private func warehouse(_ plan: CopyPlan) throws -> RedshiftConfiguration {
        var destination = plan.destination
        if case .deliver(let target) = settings.withLock(\.route),
            let current = target.copy?.destination.members,
            current["ClusterJDBCURL"] == destination.members["ClusterJDBCURL"]
        {
            for name in ["Username", "Password", "RoleARN"] {
                destination.members[name] = current[name]
            }
        }
        return try RedshiftConfiguration(destination)
    }
}
