package import HTTPServer
package import Logging
internal import NIOCore
package import Records

/// The Firehose API behind an HTTP server.
package final class FirehoseService: HTTPService {
    /// What does the API's work.
    package struct Backend: Sendable {
        /// Takes records.
        package var appender: any RecordAppender
        /// Keeps the streams.
        package var registry: any DeliveryStreamRegistry
        /// Serves the operations that AWS does not have; nil for none.
        package var streamOperator: (any StreamOperator)?

        /// A backend.
        package init(
            appender: any RecordAppender,
            registry: any DeliveryStreamRegistry,
            streamOperator: (any StreamOperator)? = nil
        ) {
            self.appender = appender
            self.registry = registry
            self.streamOperator = streamOperator
        }
    }

    /// As signatures' scopes have it.
    package static let name = "firehose"
    /// One an operation.
    package static let actions = Operation.allCases.map(\.action)

    let appender: any RecordAppender
    let control: ControlPlane
    let metrics: FirehoseMetrics
    let logger: Logger

    /// The API of a backend.
    ///
    /// - Parameters:
    ///   - backend: What does the work.
    ///   - isStrict: With the API model's own patterns where they would be relaxed otherwise.
    ///   - metrics: What is counted.
    ///   - time: The clock.
    ///   - logger: Where puts are logged.
    package init(
        _ backend: Backend,
        isStrict: Bool = false,
        metrics: FirehoseMetrics = .inherited,
        time: any TimeSource,
        logger: Logger
    ) {
        appender = backend.appender
        control = ControlPlane(
            registry: backend.registry,
            time: time,
            isStrict: isStrict,
            streamOperator: backend.streamOperator
        )
        self.metrics = metrics
        self.logger = logger
    }

    /// Whether a request's target is one of Firehose or of this server's own operations.
    package func claims(_ head: RequestHead) -> Bool {
        head.header("x-amz-target").map(Operation.isTarget) ?? false
    }

    /// The operation as AWS names it.
    package func operationName(of head: RequestHead) -> String? { operation(of: head)?.rawValue }

    func operation(of head: RequestHead) -> Operation? {
        try? Operation(target: head.header("x-amz-target"))
    }

    /// Calls an operation.
    package func answer(
        _ request: ReceivedRequest,
        done: @escaping @Sendable (@escaping HTTPAnswer.Maker) -> Void
    ) {
        let target = Result { () throws(FirehoseError) in
            try Operation(target: request.head.header("x-amz-target"))
        }
        let operation = try? target.get()
        let done = { @Sendable [metrics] (maker: @escaping HTTPAnswer.Maker) in
            done({
                let answer = maker()
                metrics.answered(operation, code: answer.errorCode)
                return answer
            })
        }
        do throws(FirehoseError) {
            switch try target.get() {
            case .putRecord: try put(.putRecord, request, done)
            case .putRecordBatch: try put(.putRecordBatch, request, done)
            case let operation: try callControlPlane(operation, request, done)
            }
        } catch {
            let allocator = request.allocator
            done({ HTTPAnswer(error, allocator) })
        }
    }

    private func callControlPlane(
        _ operation: Operation,
        _ request: ReceivedRequest,
        _ done: @escaping @Sendable (@escaping HTTPAnswer.Maker) -> Void
    ) throws(FirehoseError) {
        let body = try request.unpackedBody()
        guard body.readableBytes <= Limits.maximumControlBodyBytes else {
            throw FirehoseError(
                .requestEntityTooLarge,
                "\(operation.rawValue) takes at most \(Limits.maximumControlBodyBytes) bytes."
            )
        }
        let caller = request.caller
        let allocator = request.allocator
        let bytes = Array(body.readableBytesView)
        let began = ContinuousClock.now
        Task {
            defer { metrics.took(operation, began.duration(to: .now)) }
            do throws(FirehoseError) {
                let json = try await control.answer(operation, bytes) {
                    stream throws(FirehoseError) in
                    try authorize(caller, operation, on: stream)
                }
                done({ HTTPAnswer(json: json, allocator) })
            } catch {
                done({ HTTPAnswer(error, allocator) })
            }
        }
    }

    /// Lets an operation on a stream pass, or on none.
    ///
    /// - Throws: AccessDenied.
    func authorize(
        _ caller: Caller,
        _ operation: Operation,
        on stream: String?
    ) throws(FirehoseError) {
        let action = operation.action
        guard !caller.allows(action, on: stream) else { return }
        let identity = control.registry.identity
        throw FirehoseError(
            .accessDenied,
            "User: arn:aws:iam::\(identity.account):user/\(caller.accessKeyID) is not authorized to "
                + "perform: \(action) on resource: \(identity.arn(ofStream: stream ?? "*")) because "
                + "no identity-based policy allows the \(action) action"
        )
    }
}
