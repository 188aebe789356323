internal import Destinations
internal import Logging
internal import Platform
internal import Records

/// Brings a buffer's failed records where they belong, once it is durable which they are: their lines are
/// made of the log anew, and are the same in every attempt.
struct FailureDelivery {
    /// What there is for the bucket, and for this server's disk.
    struct Objects: Sendable {
        var parts: [Spooler.Part]
        var setAside: Spooler.Part?
    }

    private let source: RecordSource

    init(_ source: RecordSource) { self.source = source }

    private var entry: JournalEntry { source.entry }
    private var destination: any RecordDestination { source.destination }
    private var context: PipelineContext { source.context }

    /// The objects of what is kept, or what is wrong with that.
    func objects() async throws -> Result<Objects, KeptDamage> {
        try await context.untilDone("failed records cannot be read") {
            do {
                switch try await context.journal.kept(of: entry.sequence) {
                case .objects(let parts, let setAside):
                    return .success(Objects(parts: parts, setAside: setAside))
                case .records(let records): return .success(try await spooled(records))
                }
            } catch let damage as KeptDamage {
                return .failure(damage)
            }
        }
    }

    private func spooled(_ records: FailedRecords) async throws -> Objects {
        let (objects, damaged, lost) = try await lines(of: records)
        try await context.report(damaged)
        if lost > 0 {
            context.logger.error(
                "failed records are lost to damage in the log",
                metadata: ["records": "\(lost)"]
            )
        }
        return objects
    }

    /// The lines, damaged parts of the log, and how many records have no data there any more.
    private func lines(
        of records: FailedRecords
    ) async throws -> (Objects, damaged: [LogDamage], lost: Int) {
        try await context.environment.spoolThreads.run { [self] flag in
            var objects = FailedObjects(entry, context)
            var records = records
            var next = try records.next()
            var damaged: [LogDamage] = []
            var lost = 0
            var place = entry.start
            while place.position < entry.end.position {
                try flag.check()
                let chunk = try source.chunk(from: place)
                for (type, range) in chunk.failures {
                    try objects.add(
                        UnsafeRawBufferPointer(rebasing: chunk.records.block.bytes[range]),
                        type
                    )
                }
                damaged += chunk.damaged
                var failed: [RecordNumber: FailedRecord] = [:]
                while let last = chunk.records.items.last, let record = next,
                    record.number <= last.number
                {
                    failed[record.number] = record
                    next = try records.next()
                }
                for item in chunk.records.items {
                    guard let record = failed.removeValue(forKey: item.number) else { continue }
                    let line = chunk.failureLine(item, record, destination)
                    try line.withUnsafeBytes {
                        record.isSetAside
                            ? try objects.addAside($0, destination.errorOutputType)
                            : try objects.add($0, destination.errorOutputType)
                    }
                }
                lost += failed.count
                place = chunk.extent.end
            }
            while next != nil {
                lost += 1
                next = try records.next()
            }
            return (try objects.finish(), damaged, lost)
        }
    }

    /// Brings them where they belong, however long that takes.
    func deliver(_ objects: Objects, hasGivenUp: Bool) async throws {
        if let setAside = objects.setAside { try await keepAside(setAside) }
        for part in objects.parts { try await context.keep(part, hasGivenUp: hasGivenUp) }
    }

    /// Keeps what the destination refused for good on this server's disk.
    private func keepAside(_ part: Spooler.Part) async throws {
        let (path, total) = try await context.spooling("refused records cannot be set aside") {
            [context] _ in
            try context.setAside.keep(part.object, as: part.plan, records: part.records)
        }
        context.metrics.setAside(records: part.records)
        context.logger.error(
            "set aside: the destination refused them for good",
            metadata: part.facts(["path": "\(path)", "records_set_aside": "\(total)"])
        )
    }
}

extension PipelineContext {
    /// Puts an object of what failed into its bucket, however long that takes.
    func keep(_ part: Spooler.Part, hasGivenUp: Bool) async throws {
        var retrier = Retrier(environment.options.retryDelays, time)
        try await retrier.attempts { attempts in
            switch try await environment.options.store.put(part.object, as: part.plan) {
            case .delivered:
                outage.bucketAnswered(part.plan.bucket, logger)
                if let type = part.failure { metrics.failed(type, records: part.records) }
                logger.info(
                    "failed records are kept",
                    metadata: part.facts(["attempts": "\(attempts)"])
                )
                return .done(())
            case .failed(let failure):
                if hasGivenUp { outage.destinationFailed(logger) }
                outage.bucketFailed(part.plan.bucket, logger)
                metrics.retries()
                logger.warning(
                    "failed-records PUT failed; retrying",
                    metadata: part.facts(["attempts": "\(attempts)", "error": "\(failure)"])
                )
                return .again(RetryWait())
            }
        }
    }
}
