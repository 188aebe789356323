internal import Delivery
internal import Logging
internal import Platform
internal import Records

/// The invocations of a transform for one slice, and what becomes of its items.
struct Invocations: Sendable {
    /// The waits between two attempts.
    private static let delays = RetryDelays(base: .milliseconds(100), cap: .seconds(5))
    /// The least wait while the server has too little of something.
    private static let shortageWait: Duration = .seconds(1)

    private let slice: TransformSlice
    private let source: SourceRecords
    private let batch: TransformBatch
    /// Of each item.
    private(set) var results: [TransformSlice.Result]
    /// What results are parts of.
    private(set) var responses: [Block] = []
    /// The most that one invocation took.
    private(set) var attempts = 0

    init(_ slice: TransformSlice, _ source: SourceRecords, _ batch: TransformBatch) {
        self.slice = slice
        self.source = source
        self.batch = batch
        let hasProgram = batch.stage.processing.lambda != nil
        results = slice.items.map { item in
            if let failure = item.failure { return .notExpanded(failure) }
            if item.isNothing { return .dropped }
            guard hasProgram else { return .ok(response: nil, item.range) }
            // What is in no invocation is too large for one.
            return .failed(
                .functionError,
                message: "The record is too large for an invocation of 6 MB.",
                attempts: 1
            )
        }
    }

    /// Makes them, one after the other.
    ///
    /// - Throws: `CancellationError` alone.
    mutating func run() async throws {
        guard let lambda = batch.stage.processing.lambda else { return }
        var next = 0
        while let made = try await request(from: next) {
            next = made.next
            let items = made.request.items
            let (response, attempts) = try await invoke(made.request.event, lambda)
            self.attempts = max(self.attempts, attempts)
            switch response {
            case .failure(let failure):
                for item in items {
                    results[item] = .failed(
                        failure.code,
                        message: failure.code.message,
                        attempts: attempts
                    )
                }
            case .success(let response): take(response, items, attempts: attempts)
            }
        }
    }

    private func request(
        from start: Int
    ) async throws
        -> (request: TransformSlice.Request, next: Int)?
    {
        let context = batch.context
        return try await batch.stage.environment.threads.run { [slice, source] _ in
            let identity = context.environment.identity
            return slice.request(
                from: start,
                source,
                streamARN: identity.arn(ofStream: context.stream),
                region: identity.region
            )
        }
    }

    private mutating func take(_ response: TransformResponse, _ items: [Int], attempts: Int) {
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

    /// Invokes until there is a response that can be read, or no attempt is left.
    private func invoke(
        _ event: TransformEvent,
        _ lambda: Processing.Lambda
    ) async throws -> (Result<TransformResponse, InvocationFailure>, attempts: Int) {
        let (stage, context) = (batch.stage, batch.context)
        var retrier = Retrier(Self.delays, context.time)
        var shortages = 0
        return try await retrier.attempts { number in
            let attempt = number - shortages
            let event = attempt == 1 ? event : event.with(invocationID: UUIDText.random())
            let began = ContinuousClock.now
            do {
                let bytes = try await stage.invoke(event)
                let response = try await stage.environment.threads.run { _ in
                    try TransformResponse(bytes, to: event)
                }
                stage.metrics.invoked(began.duration(to: .now), isSuccess: true)
                return .done((.success(response), attempt))
            } catch let failure as InvocationFailure {
                stage.metrics.invoked(began.duration(to: .now), isSuccess: false)
                if failure.isShortage {
                    shortages += 1
                    context.logger.warning(
                        "the transform cannot be started: the server has reached its limit on open files; retrying",
                        metadata: ["transform": "\(lambda.name)", "error": "\(failure)"]
                    )
                    return .again(RetryWait(least: Self.shortageWait))
                }
                let isLast = attempt > lambda.numberOfRetries
                context.logger.warning(
                    isLast
                        ? "the transform failed, its records are set apart"
                        : "the transform failed; retrying",
                    metadata: [
                        "transform": "\(lambda.name)", "attempt": "\(attempt)",
                        "records": "\(event.recordCount)", "error": "\(failure)",
                    ]
                )
                return isLast ? .done((.failure(failure), attempt)) : .again(RetryWait())
            }
        }
    }
}
