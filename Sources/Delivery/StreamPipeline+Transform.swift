internal import Destinations
internal import Foundation
internal import Logging
internal import Platform
internal import Processors
internal import Records
internal import TransformHost

/// One batch's way through a transform into the outcome log.
extension StreamPipeline {
    /// Brings a batch to an end: all that became of it is durable.
    ///
    /// Returns early only when the task is cancelled; then it is transformed anew after a restart, as
    /// far as it was not.
    func transform(_ batch: TransformStage.Batch, _ stage: TransformStage) async {
        var isDone = false
        do {
            defer { shared.transformPlaces.giveBack() }
            var work = BatchWork()
            try await overTrouble { try await transform(batch, stage, &work) }
            stage.outcome.batchEnded(at: batch.end)
            isDone = true
            logger.info("transformed", metadata: work.facts)
        } catch {
            logger.debug("a transformation was interrupted", metadata: ["error": "\(error)"])
        }
        batch.turn.end(isDone: isDone)
        stage.end()
        guard isDone else { return }
        // Cancelled, it is found by what the outcome log says.
        try? await settle(batch.sequence, stage.outcome)
        signal.notify()
    }

    /// How far a batch has come.
    private struct BatchWork {
        var records = 0
        var ok = 0
        var dropped = 0
        var failed = 0
        var attempts = 0
        var bytes = 0
        /// The record that comes next.
        var next = 0
        var hasTurn = false
        var hasReported = false

        /// What it became in the outcome log.
        var outcome: Range<UInt64>?

        mutating func appended(_ numbers: Range<UInt64>) {
            outcome = (outcome?.lowerBound ?? numbers.lowerBound)..<numbers.upperBound
        }

        var facts: Logger.Metadata {
            var facts: Logger.Metadata = [
                "records": "\(records)", "ok": "\(ok)", "dropped": "\(dropped)",
                "failed": "\(failed)", "attempts": "\(attempts)", "bytes": "\(bytes)",
            ]
            if let outcome, !outcome.isEmpty {
                facts["first_outcome"] = "\(outcome.lowerBound)"
                facts["last_outcome"] = "\(outcome.upperBound - 1)"
            }
            return facts
        }
    }

    private func transform(
        _ batch: TransformStage.Batch,
        _ stage: TransformStage,
        _ work: inout BatchWork
    ) async throws {
        let source = try await trying("a batch cannot be read") { [self] in
            try await shared.transformThreads.run { [log] _ in
                try SourceRecords(log, from: batch.start, to: batch.end)
            }
        }
        if !work.hasReported { try await report(source.damaged) }
        work.hasReported = true
        while work.next < source.count {
            let start = work.next
            let slice = try await shared.transformThreads.run { _ in
                TransformSlice(source, from: start, stage.processing)
            }
            var (results, responses) = try await results(of: slice, source, batch, stage, &work)
            if !work.hasTurn { try await batch.turn.come() }
            work.hasTurn = true
            let isComplete = slice.records.upperBound == source.count
            let progress = OutcomeRecord.Progress(
                start: batch.start,
                end: batch.end,
                records: UInt64(slice.records.upperBound),
                isComplete: isComplete
            )
            let now = shared.options.time.now()
            let frames = try await shared.transformThreads.run { [results, responses] _ in
                var frames = OutcomeFrames(
                    slice,
                    source,
                    lambdaARN: stage.processing.lambda?.arn,
                    now: now
                )
                return frames.make(results, responses: responses, progress: progress)
            }
            let arrival = source.arrivals[slice.records.lowerBound]
            responses = []
            for frame in frames {
                try await untilDone("what was transformed cannot be made durable") {
                    work.appended(try await stage.outcome.append(frame, arrival: arrival))
                }
            }
            work.next = slice.records.upperBound
            work.records += slice.records.count
            work.bytes += slice.byteCount
            count(results, slice, stage, &work)
            results = []
        }
        if !work.hasTurn { try await batch.turn.come() }
        work.hasTurn = true
    }

    private func count(
        _ results: [TransformSlice.Result],
        _ slice: TransformSlice,
        _ stage: TransformStage,
        _ work: inout BatchWork
    ) {
        let before = work
        var okBytes = 0
        for (result, item) in zip(results, slice.items) {
            switch result {
            case .ok:
                work.ok += 1
                okBytes += item.range.count
            case .dropped: work.dropped += 1
            case .failed, .notExpanded: work.failed += 1
            }
        }
        metrics.dropped(work.dropped - before.dropped)
        guard stage.processing.lambda != nil else { return }
        metrics.processed(ok: work.ok - before.ok, okBytes: okBytes)
    }

    private func results(
        of slice: TransformSlice,
        _ source: SourceRecords,
        _ batch: TransformStage.Batch,
        _ stage: TransformStage,
        _ work: inout BatchWork
    ) async throws -> (results: [TransformSlice.Result], responses: [Block]) {
        var responses: [Block] = []
        guard let lambda = stage.processing.lambda else {
            let results = slice.items.map { item -> TransformSlice.Result in
                item.failure.map { .notExpanded($0) }
                    ?? (item.isNothing ? .dropped : .ok(response: nil, item.range))
            }
            return (results, [])
        }
        // What is in no invocation is too large for one.
        var results = slice.items.map { item -> TransformSlice.Result in
            if item.isNothing { return .dropped }
            return item.failure.map { .notExpanded($0) }
                ?? .failed(
                    .functionError,
                    message: "The record is too large for an invocation of 6 MB.",
                    attempts: 1
                )
        }
        var next = 0
        while true {
            let start = next
            let made = try await shared.transformThreads.run { [shared, log, name] _ in
                slice.request(
                    from: start,
                    source,
                    firstRecord: batch.start.records,
                    logIdentity: log.identity,
                    streamARN: shared.identity.arn(ofStream: name),
                    region: shared.identity.region
                )
            }
            guard let made else { return (results, responses) }
            next = made.next
            let items = made.request.items
            let (response, attempts) = try await invoke(made.request.event, stage, lambda)
            work.attempts = max(work.attempts, attempts)
            switch response {
            case .failure(let failure):
                for item in items {
                    results[item] = .failed(
                        failure.code,
                        message: failure.code.message,
                        attempts: attempts
                    )
                }
            case .success(let response):
                for (item, outcome) in zip(items, response.outcomes) {
                    switch outcome {
                    case .ok(let range): results[item] = .ok(response: responses.count, range)
                    case .dropped: results[item] = .dropped
                    case .failed(let error, let message):
                        results[item] = .failed(error, message: message, attempts: attempts)
                    }
                }
                responses.append(response.data)
            }
        }
    }

    /// Invokes until there is a response that can be read, or no attempt is left.
    private func invoke(
        _ event: TransformEvent,
        _ stage: TransformStage,
        _ lambda: Processing.Lambda
    ) async throws -> (Result<TransformResponse, InvocationFailure>, attempts: Int) {
        var delays = RetryDelays(base: .milliseconds(100), cap: .seconds(5))
        var generator = SystemRandomNumberGenerator()
        var attempt = 0
        while true {
            attempt += 1
            event.renew(UUID().uuidString.lowercased())
            let began = ContinuousClock.now
            do {
                let bytes = try await stage.invoke(event)
                let response = try await shared.transformThreads.run { _ in
                    try TransformResponse(bytes, to: event)
                }
                metrics.invoked(began.duration(to: .now), isSuccess: true)
                return (.success(response), attempt)
            } catch let failure as InvocationFailure {
                metrics.invoked(began.duration(to: .now), isSuccess: false)
                let isLast = attempt > lambda.numberOfRetries
                logger.warning(
                    isLast
                        ? "the transform failed, its records are set apart"
                        : "the transform failed, another try follows",
                    metadata: [
                        "transform": "\(lambda.name)", "attempt": "\(attempt)",
                        "records": "\(event.recordCount)", "error": "\(failure)",
                    ]
                )
                if isLast { return (.failure(failure), attempt) }
                let time = shared.options.time
                try await time.sleep(until: time.now() + delays.next(using: &generator))
            }
        }
    }
}
