internal import Destinations
internal import Logging
internal import Platform
internal import Records
internal import Synchronization

/// One request with a part of a buffer's records.
extension StreamPipeline {
    /// What came of a request.
    enum Requested {
        /// There was nothing to send.
        case nothing
        case answered(DeliveryAnswer, RecordsChunk, RequestMemory)
        /// The destination has the records, and says later what became of them.
        case unconfirmed(@Sendable () async throws -> DeliveryAnswer, RecordsChunk.Extent)
    }

    /// Sends what is left of a chunk; what has to be settled of it holds its memory.
    func request(
        _ entry: JournalEntry,
        _ plan: RecordsPlan,
        _ destination: any RecordDestination,
        _ work: inout RecordsWork
    ) async throws -> Requested {
        let memory = try await memory(for: entry, destination, work)
        do {
            let chunk = try await read(entry, plan, destination, work)
            if work.pending == nil { try await begin(chunk, destination, &work) }
            let pending = work.pending ?? []
            guard !pending.isEmpty else {
                memory.giveBack()
                end(chunk.extent, &work)
                return .nothing
            }
            if work.clockStart == nil, destination.retryRules.clock == .firstAttempt {
                work.clockStart = shared.options.time.now()
                work.waited = .zero
            }
            work.sent = pending.map { chunk.records.items[$0].number }
            work.sentBytes = pending.reduce(0) {
                $0 + UInt64(chunk.records.items[$1].range.count)
            }
            let answer = try await destination.send(chunk.records, pending)
            work.counts.requests += answer.requests
            work.chunkAttempts += 1
            work.counts.attempts = max(work.counts.attempts, work.chunkAttempts)
            guard let confirmation = answer.confirmation else {
                return .answered(answer, chunk, memory)
            }
            memory.giveBack()
            return .unconfirmed(confirmation, chunk.extent)
        } catch {
            memory.giveBack()
            throw error
        }
    }

    /// A request's share of what all requests may take.
    struct RequestMemory {
        var own: Places
        var shared: Places
        var kibibytes: Int

        func giveBack() {
            shared.giveBack(kibibytes)
            own.giveBack()
        }
    }

    /// Waits until a request may be in memory.
    func memory(
        for entry: JournalEntry,
        _ destination: any RecordDestination,
        _ work: RecordsWork
    ) async throws -> RequestMemory {
        try await requestPlaces.take()
        do {
            // A destination that does not answer takes nothing from those that do.
            let places =
                isInTrouble.load(ordering: .relaxed)
                ? shared.troubledRequestMemory : shared.requestMemory
            let bytes = max(entry.end.bytes, work.place.bytes) - work.place.bytes
            let limits = destination.requestLimits
            let records = max(entry.end.records, work.place.records) - work.place.records
            let size = Int(
                (min(bytes, limits.dataBytes)
                    + min(records, limits.records) * Limits.requestBytesOfRecord) / 1024
            )
            let taken = try await places.take(2 * (size + Limits.requestOverheadKibibytes))
            return RequestMemory(own: requestPlaces, shared: places, kibibytes: taken)
        } catch {
            requestPlaces.giveBack()
            throw error
        }
    }

    /// Reads the chunk that comes next.
    func read(
        _ entry: JournalEntry,
        _ plan: RecordsPlan,
        _ destination: any RecordDestination,
        _ work: RecordsWork
    ) async throws -> RecordsChunk {
        try await trying("the buffer cannot be read") { [self, place = work.place] in
            try await shared.spoolThreads.run { [self] _ in
                try RecordsChunk(
                    log,
                    from: place,
                    limit: entry.end,
                    destination.requestLimits,
                    isOutcome: role == .outcome,
                    delimiter: plan.delimiter
                )
            }
        }
    }

    /// Destinations are made once for each configuration.
    func recordDestination(
        _ configuration: DestinationConfiguration
    ) throws -> any RecordDestination {
        try destinations.withLock { known in
            if let destination = known[configuration] { return destination }
            guard let factory = shared.options.recordDestinations else {
                throw FirehoseError(.invalidArgument, "this server delivers objects alone")
            }
            let destination = try factory.make(configuration, stream: name)
            // Few at a time; those of former configurations are over soon.
            if known.count >= 4 { known.removeAll() }
            known[configuration] = destination
            return destination
        }
    }

    /// Remembers what is delivered of a buffer, and writes it down where a restart must neither send it
    /// again nor give it up.
    ///
    /// - Parameters:
    ///   - left: The numbers of those records of the last request that are not delivered.
    ///   - isJournalled: Whether it is worth a write.
    ///   - work: What is done for the buffer.
    /// - Throws: `CancellationError` alone.
    func noteProgress(
        _ left: [UInt64],
        isJournalled: Bool,
        _ work: inout RecordsWork
    ) async throws {
        guard !work.isProgressFrozen, let first = work.sent.first, let last = work.sent.last else {
            return
        }
        var progress = work.entry.progress ?? DeliveryProgress(next: first, open: [])
        progress.next = max(progress.next, last + 1)
        if !left.isEmpty || !progress.open.isEmpty {
            let delivered = Set(work.sent).subtracting(left)
            progress.open = Set(progress.open).subtracting(delivered).union(left).sorted()
        }
        guard progress.open.count <= Limits.maximumOpenRecords else {
            work.isProgressFrozen = true
            return
        }
        work.entry.progress = progress
        guard isJournalled else { return }
        try await write(work.entry)
    }
}
