internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import SigV4

/// What all connections share: where requests go, and the bounds.
final class ServerCore: Sendable {
    let limits: HTTPServerLimits
    let memory: MemoryBudget
    let dates: HTTPDates
    let router: RequestRouter
    let logger: Logger
    /// Nil where everybody may do everything.
    private let access: AccessControl?

    init(
        _ configuration: HTTPServerConfiguration,
        services: [any HTTPService],
        pages: [String: StatusPage]
    ) {
        limits = configuration.limits
        memory = MemoryBudget(bytes: limits.maximumBodiesInMemoryBytes)
        dates = HTTPDates(time: configuration.time)
        router = RequestRouter(services: services, pages: pages)
        access = configuration.access
        logger = configuration.logger
    }

    /// Begins to authenticate a request, of which the head is there; nil where that is not needed.
    func authentication(
        of request: IncomingRequest
    ) -> RequestAuthentication? {
        guard let access, request.head.method == .POST else { return nil }
        let service = router.service(of: request.route)
        return RequestAuthentication(request.head, type(of: service).name, access)
    }

    /// Answers a whole request: calls `done` once, on any thread.
    func answer(
        _ request: IncomingRequest,
        _ allocator: ByteBufferAllocator,
        done: @escaping @Sendable (@escaping HTTPAnswer.Maker) -> Void
    ) {
        switch request.route {
        case .page(let page):
            answer(page, allocator, done)
        case .notFound:
            let service = router.fallback
            done({ service.answer(to: .notFound, of: nil, allocator) })
        case .methodNotAllowed(let allowed):
            let service = router.fallback
            done({
                var answer = service.answer(to: .methodNotAllowed, of: nil, allocator)
                answer.allowedMethods = allowed
                return answer
            })
        case .service(let service):
            let head = RequestHead(request.head)
            switch request.caller ?? unnamedCaller {
            case .success(let caller):
                service.answer(
                    ReceivedRequest(
                        head: head,
                        body: request.body ?? ByteBuffer(),
                        caller: caller,
                        allocator: allocator
                    ),
                    done: done
                )
            case .failure(let error):
                logRefused(error, service.operationName(of: head))
                done({ service.answer(to: error.refusal, of: head, allocator) })
            }
        }
    }

    /// Who sends a request that says nothing of it: anyone, where there is no access control.
    var unnamedCaller: Result<Caller, SignatureError> {
        access == nil ? .success(.anyone) : .failure(.missingAuthenticationToken)
    }

    private func answer(
        _ page: StatusPage,
        _ allocator: ByteBufferAllocator,
        _ done: @escaping @Sendable (@escaping HTTPAnswer.Maker) -> Void
    ) {
        Task {
            let content = await page.content()
            done({
                HTTPAnswer(
                    status: content.isGood ? 200 : 503,
                    contentType: page.contentType,
                    body: allocator.buffer(string: content.text)
                )
            })
        }
    }

    /// Answers a request that is not read to its end.
    func answer(
        to refusal: HTTPRefusal,
        of request: IncomingRequest,
        _ allocator: ByteBufferAllocator
    ) -> HTTPAnswer {
        if case .service(let service) = request.route {
            service.answer(to: refusal, of: RequestHead(request.head), allocator)
        } else {
            router.fallback.answer(to: refusal, of: nil, allocator)
        }
    }

    // MARK: Log

    /// Says that somebody is not let in; the log's handler keeps this from flooding the log.
    private func logRefused(_ error: SignatureError, _ operation: String?) {
        logger.warning(
            "a request is refused",
            metadata: [
                "code": "\(error.code.rawValue)",
                "operation": "\(operation ?? "unknown")",
                "reason": "\(error.message)",
            ]
        )
    }

    /// Says what became of a request, with the ids that its client has.
    func log(_ answer: HTTPAnswer, _ requestID: String) {
        var facts: Logger.Metadata = [
            "request_id": "\(requestID)", "status": "\(answer.status)",
        ]
        if let code = answer.errorCode { facts["code"] = "\(code)" }
        if let entry = answer.logEntry { facts.merge(entry.facts) { _, new in new } }
        logger.debug(answer.logEntry?.message ?? "answered", metadata: facts)
    }
}

extension SignatureError {
    /// What the request's service is told.
    var refusal: HTTPRefusal { .unauthenticated(code: code.rawValue, message: message) }
}
