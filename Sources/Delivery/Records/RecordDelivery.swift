internal import Destinations
internal import Logging
internal import Platform
internal import Records

/// One buffer's way to a destination that takes records one by one: does what the state machine says.
struct RecordDelivery {
    private let source: RecordSource
    private var machine: RecordDeliveryStateMachine
    /// Gathers what failed; nil before the first.
    private var spool: FailureSpool?
    /// Whether a part of the buffer was sent since the retrier was new.
    private var hasSent = false

    init(_ source: RecordSource, isResumed: Bool) {
        self.source = source
        let rules = source.destination.retryRules
        machine = RecordDeliveryStateMachine(
            RecordDeliveryStateMachine.Buffer(source.entry, isResumed: isResumed),
            rules: rules,
            allowance: source.context.allowance(rules.duration)
        )
    }

    private var entry: JournalEntry { source.entry }
    private var destination: any RecordDestination { source.destination }
    private var context: PipelineContext { source.context }

    /// Brings the buffer to an end: each record is delivered, or in the bucket for failed ones.
    ///
    /// - Throws: `CancellationError` alone.
    mutating func run() async throws {
        let options = context.environment.options
        let delays = destination.retryRules.delays ?? options.retryDelays
        // What has to be sent again, because what failed of it was lost, waits before it is.
        try await context.untilDone("the buffer is sent again") {
            while machine.next != .settle {
                // Waits are those of one part alone.
                var retrier = Retrier(delays, options.time)
                try await retrier.attempts { _ in try await goOn() }
            }
        }
        context.logger.info("delivered", metadata: facts)
    }

    /// Goes on until there is something to wait for, or a part of the buffer is settled.
    private mutating func goOn() async throws -> Retrier.Attempt<Void> {
        while true {
            switch machine.next {
            case .read where hasSent, .settle:
                hasSent = false
                return .done(())
            case .read, .send: try await request()
            case .look(let places): try await look(for: places)
            case .wait(let wait):
                machine.done()
                return .again(wait)
            case .note(let progress):
                try await context.note(.progress(progress), of: entry.sequence)
                machine.done()
            case .gather(let records): try await gather(records)
            case .keep(let summary): try await keep(summary)
            case .deliverFailures: try await deliverFailures()
            }
        }
    }

    private var place: PipelineMetrics.Place { PipelineMetrics.Place(source.kind) }

    private var facts: Logger.Metadata {
        let summary = machine.summary
        return [
            "destination": "\(source.kind.rawValue)", "records": "\(summary.records)",
            "failed": "\(summary.failed)", "bytes": "\(summary.bytes)",
            "requests": "\(summary.requests)", "attempts": "\(summary.attempts)",
        ]
    }

    // MARK: Requests

    /// An answer, or what waits for one without the records in memory.
    private struct Sent {
        var answer: DeliveryAnswer
        /// Bytes of each record that was sent.
        var sizes: [Int]
    }

    /// Reads the part that comes next, and sends what is to be sent of it.
    private mutating func request() async throws {
        let sent = try await context.untilDone("the buffer cannot be read") {
            try await context.requests.inMemory(
                from: machine.place,
                to: entry.end,
                destination.requestLimits
            ) { try await send() }
        }
        guard let sent else { return }
        hasSent = true
        guard let confirmation = sent.answer.confirmation else {
            return answered(sent.answer, sent)
        }
        let time = context.time
        let began = time.instant()
        let answer = try await confirmation()
        if answer.fates.allSatisfy({ $0 == .delivered }) {
            context.metrics.acknowledged(place, after: began.duration(to: time.instant()))
        }
        answered(answer, sent)
    }

    /// - Returns: Nil where nothing is left to be sent of the part.
    /// - Throws: `Retrier.Trouble`, and nothing was sent; `CancellationError`.
    private mutating func send() async throws -> Sent? {
        let chunk = try await chunk()
        if case .read = machine.next { try await take(chunk) }
        guard case .send(let places) = machine.next else { return nil }
        let found = chunk.indices(of: machine.numbers(at: places))
        if found.contains(nil) { try await context.report(chunk.damaged) }
        let indices = found.compactMap(\.self)
        var answer = DeliveryAnswer(fates: [])
        answer.requests = 0
        if !indices.isEmpty { answer = try await destination.send(chunk.records, indices) }
        return Sent(
            answer: answer.spread(over: found),
            sizes: found.map { $0.map { chunk.records.items[$0].range.count } ?? 0 }
        )
    }

    /// Asks which records of the part are there, of which no answer said it.
    private mutating func look(for places: [Int]) async throws {
        let (answer, sizes) = try await context.untilDone("the buffer cannot be read") {
            try await context.requests.inMemory(
                from: machine.place,
                to: entry.end,
                destination.requestLimits
            ) {
                let chunk = try await chunk()
                let found = chunk.indices(of: machine.numbers(at: places))
                let indices = found.compactMap(\.self)
                let answer = try await destination.look(for: chunk.records, indices)
                let sizes = found.map { $0.map { chunk.records.items[$0].range.count } ?? 0 }
                return (answer.spread(over: found), sizes)
            }
        }
        switch answer {
        case .found(let isThere):
            let found = machine.looked(isThere)
            guard !found.isEmpty else { return }
            let bytes = zip(isThere, sizes).reduce(0) { $0 + ($1.0 ? UInt64($1.1) : 0) }
            context.metrics.requested(
                place,
                PipelineMetrics.Requests(
                    records: found.count,
                    bytes: bytes,
                    requests: 0,
                    isSuccess: true
                )
            )
            context.logger.info(
                "records whose response was lost were delivered",
                metadata: ["destination": "\(source.kind.rawValue)", "records": "\(found.count)"]
            )
        case .failed(let failure): lookFailed(failure, isFinal: false, records: places.count)
        case .refused(let failure): lookFailed(failure, isFinal: true, records: places.count)
        }
    }

    private mutating func lookFailed(_ failure: DeliveryFailure, isFinal: Bool, records: Int) {
        let isAskedAgain = machine.lookFailed(isFinal: isFinal, now: context.time.steady())
        context.logger.warning(
            isAskedAgain
                ? "the destination cannot be asked which records it holds; retrying"
                : "records that may have been delivered are given up: the destination could not be asked",
            metadata: [
                "destination": "\(source.kind.rawValue)", "error": "\(failure)",
                "records": "\(records)",
            ]
        )
    }

    private func chunk() async throws -> RecordsChunk {
        try await context.trying("the buffer cannot be read") {
            [context, source, place = machine.place] in
            try await context.environment.spoolThreads.run { _ in try source.chunk(from: place) }
        }
    }

    private mutating func take(_ chunk: RecordsChunk) async throws {
        try await context.report(chunk.damaged)
        let refusals = try await context.environment.spoolThreads.run { [destination] _ in
            destination.refusals(of: chunk.records)
        }
        machine.read(
            RecordDeliveryStateMachine.Part(
                numbers: chunk.records.items.map(\.number),
                bytes: chunk.extent.bytes,
                end: chunk.extent.end,
                refusals: refusals,
                hasEarlierFailures: !chunk.failures.isEmpty
            ),
            now: context.time.steady(),
            at: context.time.now()
        )
    }

    private mutating func answered(_ answer: DeliveryAnswer, _ sent: Sent) {
        let outage = context.outage
        let report = machine.answered(
            answer,
            requests: sent.answer.requests,
            now: context.time.steady(),
            at: context.time.now(),
            isNowhere: outage.isAway(entry.plan.bucket)
        )
        context.requests.answered(isTaken: report.isTaken, after: answer.waited)
        if report.isTaken { outage.destinationAnswered(context.logger) }
        if report.isTimeUp { outage.destinationFailed(context.logger) }
        context.metrics.requested(
            place,
            PipelineMetrics.Requests(
                records: report.delivered.count,
                bytes: zip(answer.fates, sent.sizes).reduce(0) { sum, fate in
                    sum + (fate.0 == .delivered ? UInt64(fate.1) : 0)
                },
                requests: max(1, answer.requests),
                split: answer.splitRequests,
                // A document refused for good is no failure of the request.
                isSuccess: report.failed == 0
                    && (DestinationType.of(source.kind).judgesRecords
                        || report.refused == 0)
            )
        )
        guard report.isRetried, let failure = report.failure else { return }
        context.metrics.retries()
        context.logger.warning(
            "request failed; retrying",
            metadata: [
                "destination": "\(source.kind.rawValue)", "error": "\(failure)",
                "records": "\(report.failed)", "attempts": "\(report.attempts)",
            ]
        )
    }

    // MARK: Failed records

    private mutating func gather(_ records: [FailedRecord]) async throws {
        let spool = try await madeSpool()
        try await context.onDisk("failed records cannot be spooled") { try spool.add(records) }
        machine.done()
    }

    private mutating func madeSpool() async throws -> FailureSpool {
        if let spool { return spool }
        let made = try await context.onDisk("failed records cannot be spooled") {
            [context, sequence = entry.sequence] in
            try FailureSpool(
                context.environment.spooler,
                name: context.spoolName(sequence) + "-failed",
                isEncrypted: context.log.isEncryptionInUse
            )
        }
        spool = made
        return made
    }

    private mutating func keep(_ summary: FailureSummary) async throws {
        // Where only records failed that never came to be delivered, the list is empty.
        let spool = try await madeSpool()
        let content: SpooledObject
        do {
            content = try await context.trying("failed records cannot be spooled") {
                [environment = context.environment] in
                try await environment.diskThreads.run { _ in try spool.finish() }
            }
        } catch let trouble as Retrier.Trouble {
            // Its end is written once: they are gathered anew.
            self.spool = nil
            machine.keptAreDamaged()
            throw trouble
        }
        try await context.untilDone("failed records cannot be kept") { [context, entry] in
            try await context.journal.keep(content, summary, of: entry.sequence)
        }
        self.spool = nil
        machine.done()
    }

    private mutating func deliverFailures() async throws {
        let failures = FailureDelivery(source)
        switch try await failures.objects() {
        case .success(let objects):
            try await failures.deliver(objects, hasGivenUp: machine.summary.hasGivenUp)
            machine.done()
        case .failure(let damage):
            try await context.note(.keptAreDamaged, of: entry.sequence)
            machine.keptAreDamaged()
            throw Retrier.Trouble(
                message: "kept failed records are damaged: the buffer is sent again",
                cause: damage
            )
        }
    }
}
