internal import Delivery
internal import Foundation
internal import Logging
internal import Platform
internal import Records

/// One batch's way through a transform into the outcome log, as far as it has come.
struct TransformRun {
    private let batch: TransformBatch
    private let stage: TransformStage
    private let context: PipelineContext
    private var records = 0
    private var ok = 0
    private var dropped = 0
    private var failed = 0
    private var attempts = 0
    private var bytes = 0
    /// The record that comes next.
    private var next = 0
    /// How many records the outcome log covers.
    private var covered: UInt64 = 0
    private var hasTurn = false
    private var hasReported = false
    /// What it became in the outcome log.
    private var outcome: Range<UInt64>?

    init(_ batch: TransformBatch) {
        self.batch = batch
        stage = batch.stage
        context = batch.context
    }

    /// What the log says of it.
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

    private var threads: WorkerThreads { stage.environment.threads }

    /// Transforms what is left, and makes durable what it becomes.
    mutating func goOn() async throws {
        let source = try await threads.run { [context, batch] _ in
            try SourceRecords(context.log, from: batch.start, to: batch.end)
        }
        if !hasReported { try await context.report(source.damaged) }
        hasReported = true
        while next < source.count {
            let slice = try await threads.run { [stage, start = next] _ in
                TransformSlice(source, from: start, stage.processing)
            }
            var invocations = Invocations(slice, source, batch)
            try await invocations.run()
            attempts = max(attempts, invocations.attempts)
            try await takeTurn()
            try await append(slice, invocations, source)
            next = slice.records.upperBound
            count(slice, invocations.results)
        }
        try await takeTurn()
    }

    private mutating func takeTurn() async throws {
        if !hasTurn { try await batch.turn.come() }
        hasTurn = true
    }

    private mutating func append(
        _ slice: TransformSlice,
        _ invocations: Invocations,
        _ source: SourceRecords
    ) async throws {
        let progress = OutcomeRecord.Progress(
            start: batch.start,
            end: batch.end,
            from: covered,
            records: UInt64(slice.records.upperBound),
            isComplete: slice.records.upperBound == source.count
        )
        let now = context.time.now()
        let (frames, end) = try await threads.run { [stage, covered] _ in
            var frames = OutcomeFrames(
                slice,
                source,
                covered: covered,
                lambdaARN: stage.processing.lambda?.arn,
                now: now
            )
            let batches = frames.make(
                invocations.results,
                responses: invocations.responses,
                progress: progress
            )
            return (batches, frames.covered)
        }
        covered = end
        let arrival = source.arrivals[slice.records.lowerBound]
        for frame in frames {
            let appended = try await context.untilDone(
                "what was transformed cannot be made durable"
            ) { try await stage.outcome.append(frame, arrival: arrival) }
            outcome = (outcome?.lowerBound ?? appended.lowerBound)..<appended.upperBound
        }
    }

    private mutating func count(_ slice: TransformSlice, _ results: [TransformSlice.Result]) {
        records += slice.records.count
        bytes += slice.byteCount
        var (ok, okBytes, dropped) = (0, 0, 0)
        for (result, item) in zip(results, slice.items) {
            switch result {
            case .ok:
                ok += 1
                okBytes += item.range.count
            case .dropped: dropped += 1
            case .failed, .notExpanded: failed += 1
            }
        }
        self.ok += ok
        self.dropped += dropped
        stage.metrics.dropped(dropped)
        if stage.processing.lambda != nil { stage.metrics.processed(ok: ok, okBytes: okBytes) }
    }
}
