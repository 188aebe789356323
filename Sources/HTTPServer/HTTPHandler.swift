internal import Compression
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOSSL
internal import Records

/// One connection's requests: gathers a body, answers, and keeps to the limits.
///
/// Behind NIO's pipelining handler, so that one request at a time arrives here.
final class FirehoseHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private enum State {
        case idle
        case receiving(IncomingRequest)
        /// The answer is on its way; what else arrives of the request is dropped.
        case answering(keepAlive: Bool, isHead: Bool)
        /// Answered before the request had ended, which is read to its end so that the client gets
        /// to read the answer; then the connection is closed.
        case discarding
        /// Closed by us; what still arrives is dropped.
        case closed
    }

    /// This connection's share of the memory budget, in bytes.
    private enum Memory {
        case none
        /// Asked for in a numbered request; the answer is on its way.
        case waiting(Int)
        case held(Int)

        var isWaiting: Bool {
            if case .waiting = self { true } else { false }
        }
    }

    private let service: IngestService
    private var state = State.idle
    private var memory = Memory.none
    private var requestIDs = RequestIDs()
    private var isHTTP10 = false
    private var lastProgress = NIODeadline.now()
    private var watch: RepeatedTask?
    private var isGone = false
    private var hasInputEnded = false

    init(_ service: IngestService) { self.service = service }

    // MARK: Life of the connection

    func channelActive(context: ChannelHandlerContext) {
        let channel = context.channel
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let period = min(
            service.options.idleTimeout / 4,
            service.options.requestTimeout / 4,
            .seconds(1)
        )
        let delay = TimeAmount(max(period, .milliseconds(10)))
        watch = context.eventLoop.scheduleRepeatedTask(initialDelay: delay, delay: delay) { _ in
            guard channel.isActive else { return }
            let (handler, context) = bound.value
            handler.checkTimeouts(context)
        }
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        isGone = true
        watch?.cancel()
        releaseMemory()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The client ended its side without TLS's goodbye, and may still read the answer.
        if case .uncleanShutdown? = error as? NIOSSLError { return }
        service.logger.debug("connection error", metadata: ["error": "\(error)"])
        context.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed { inputEnded(context) }
        context.fireUserInboundEventTriggered(event)
    }

    /// The client will send no more, and may still read the answer to what it sent.
    private func inputEnded(_ context: ChannelHandlerContext) {
        hasInputEnded = true
        switch state {
        case .answering: break
        case .receiving(let request) where request.hasEnded: break
        case .idle, .receiving, .discarding, .closed: close(context)
        }
    }

    private func checkTimeouts(_ context: ChannelHandlerContext) {
        let age = NIODeadline.now() - lastProgress
        switch state {
        case .idle, .discarding, .closed:
            if age > TimeAmount(service.options.idleTimeout) { close(context) }
        case .receiving(let request):
            guard !memory.isWaiting else { return }
            let isLate = age > TimeAmount(service.options.requestTimeout)
            // Who holds memory that others wait for must make use of it.
            let seconds = Int(age.nanoseconds / 1_000_000_000)
            let isSlow =
                seconds >= 5 && service.memory.isWaitedFor
                && request.bodyBytes < seconds * Limits.minimumBodyBytesPerSecond
            guard isLate || isSlow else { return }
            let answer = answer(
                status: .requestTimeout,
                "RequestTimeout",
                "The request was not complete in time.",
                context
            )
            refuse(answer, request.head, context)
        case .answering:
            break
        }
    }

    private func close(_ context: ChannelHandlerContext) {
        state = .closed
        releaseMemory()
        context.close(promise: nil)
    }

    // MARK: Receiving

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isGone else { return }
        switch unwrapInboundIn(data) {
        case .head(let head): begin(head, context)
        case .body(let part): take(part, context)
        case .end: end(context)
        }
    }

    private func begin(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        if case .closed = state { return }
        lastProgress = .now()
        var request = IncomingRequest(head: head)
        if let text = head.headers.first(name: "content-length") {
            request.declaredBytes = Int(text) ?? Int.max
        }
        let declared = request.declaredBytes ?? 0
        guard declared <= Limits.maximumRequestBodyBytes else {
            return refuseTooLarge(head, context)
        }
        request.authentication = service.authentication(of: head)
        if let error = request.authentication?.error,
            (request.declaredBytes ?? .max) > Limits.maximumRefusedBodyBytes
        {
            // Nobody sends megabytes here who has not said who they are.
            return refuse(Answer(error, context.channel.allocator), head, context)
        }
        state = .receiving(request)
        sendContinue(ifExpectedBy: request, context)
    }

    /// Takes from the budget what the body may come to, once its first bytes are there.
    private func reserveMemory(for request: IncomingRequest, _ context: ChannelHandlerContext) {
        guard case .none = memory else { return }
        // Chunked bodies do not say their size.
        acquireMemory(request.declaredBytes ?? Limits.maximumRequestBodyBytes, context)
    }

    private func acquireMemory(_ bytes: Int, _ context: ChannelHandlerContext) {
        if let room = service.memory.acquire(bytes, on: context.eventLoop) {
            memory = .waiting(bytes)
            wait(for: room, bytes, context)
        } else {
            memory = .held(bytes)
        }
    }

    /// RFC 9110, section 10.1.1: not for HTTP/1.0, and not without a body.
    private func sendContinue(
        ifExpectedBy request: IncomingRequest,
        _ context: ChannelHandlerContext
    ) {
        guard request.head.headers.first(name: "expect")?.isASCII("100-continue") ?? false,
            request.head.version != .http1_0, request.declaredBytes != 0
        else { return }
        let head = HTTPResponseHead(version: .http1_1, status: .continue)
        context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
    }

    /// Leaves the rest of the request in the socket until there is memory for it.
    private func wait(
        for room: EventLoopFuture<Void>,
        _ bytes: Int,
        _ context: ChannelHandlerContext
    ) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        _ = context.channel.setOption(.autoRead, value: false)
        room.whenSuccess {
            let (handler, context) = bound.value
            handler.memoryIsThere(bytes, context)
        }
    }

    private func memoryIsThere(_ bytes: Int, _ context: ChannelHandlerContext) {
        memory = .held(bytes)
        // The client may have gone, or been refused, meanwhile.
        guard !isGone, case .receiving(let request) = state else {
            releaseMemory()
            if !isGone { resumeReading(context) }
            return
        }
        lastProgress = .now()
        if request.hasEnded { complete(request, context) }
        resumeReading(context)
    }

    private func resumeReading(_ context: ChannelHandlerContext) {
        _ = context.channel.setOption(.autoRead, value: true)
        context.read()
    }

    private func take(_ part: ByteBuffer, _ context: ChannelHandlerContext) {
        guard case .receiving(var request) = state else { return }
        request.bodyBytes += part.readableBytes
        guard request.bodyBytes <= Limits.maximumRequestBodyBytes else {
            return refuseTooLarge(request.head, context)
        }
        // Of a request that is refused already, nothing is kept.
        if request.authentication?.error != nil {
            state = .receiving(request)
            return
        }
        reserveMemory(for: request, context)
        state = .idle  // so that buffer and hash have one owner while they grow
        request.authentication?.take(part)
        if var body = request.body {
            if request.bodyBytes > body.capacity {
                // The second part: now the whole is known to be larger than one read.
                var whole = context.channel.allocator.buffer(
                    capacity: request.declaredBytes ?? request.bodyBytes * 2
                )
                whole.writeImmutableBuffer(body)
                body = whole
            }
            request.body = nil
            body.writeImmutableBuffer(part)
            request.body = body
        } else {
            request.body = part
        }
        state = .receiving(request)
    }

    private func end(_ context: ChannelHandlerContext) {
        switch state {
        case .receiving(var request):
            request.hasEnded = true
            state = .receiving(request)
            if !memory.isWaiting { complete(request, context) }
        case .discarding:
            close(context)
        case .idle, .answering, .closed:
            break
        }
    }

    /// All of the body is there: checks the signature, then sees that there is memory for what the
    /// body unpacks to.
    ///
    /// So nobody holds that memory who has not said who they are.
    private func complete(_ request: IncomingRequest, _ context: ChannelHandlerContext) {
        guard request.caller == nil else { return dispatch(request, context) }
        var request = request
        request.caller = Result { () throws(FirehoseError) in
            try request.authentication?.finish()
        }
        guard request.isPacked, case .success = request.caller else {
            return dispatch(request, context)
        }
        // Given back first: whoever holds some and waits for more could wait for ever.
        releaseMemory()
        state = .receiving(request)
        acquireMemory(Limits.maximumRequestBodyBytes, context)
        if !memory.isWaiting { dispatch(request, context) }
    }

    // MARK: Answering

    private func dispatch(_ request: IncomingRequest, _ context: ChannelHandlerContext) {
        let head = request.head
        // NIO's parser stops at an upgrade, which is not done here: the connection ends with it.
        let keepAlive =
            head.isKeepAlive && head.method != .CONNECT && !head.headers.contains(name: "upgrade")
        isHTTP10 = head.version == .http1_0
        state = .answering(keepAlive: keepAlive, isHead: head.method == .HEAD)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        let caller = request.caller ?? .success(nil)
        service.answer(head, request.body, caller, context.channel.allocator) { answer in
            // Never from within the read: each answer lets the next pipelined request in, and so
            // many would come to lie on one stack.
            eventLoop.execute {
                let (handler, context) = bound.value
                handler.send(answer(), context)
            }
        }
    }

    private func send(_ answer: Answer, _ context: ChannelHandlerContext) {
        releaseMemory()
        guard !isGone, case .answering(let keepAlive, let isHead) = state else { return }
        let closes = !keepAlive || answer.closes || hasInputEnded
        state = closes ? .closed : .idle
        lastProgress = .now()
        write(answer, closes: closes, isHead: isHead, context)
    }

    /// Answers before the request has ended, and closes once it has.
    private func refuse(
        _ answer: Answer,
        _ head: HTTPRequestHead,
        _ context: ChannelHandlerContext
    ) {
        releaseMemory()
        service.count(answer, to: head)
        state = .discarding
        lastProgress = .now()
        write(answer, closes: true, isEarly: true, context)
    }

    private func refuseTooLarge(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let error = FirehoseError(
            .requestEntityTooLarge,
            "The request body has more than \(Limits.maximumRequestBodyBytes) bytes."
        )
        refuse(Answer(error, context.channel.allocator), head, context)
    }

    private func answer(
        status: HTTPResponseStatus,
        _ type: String,
        _ message: String,
        _ context: ChannelHandlerContext
    ) -> Answer {
        var answer = Answer(
            json: Array(#"{"__type":"\#(type)","message":"\#(message)"}"#.utf8),
            context.channel.allocator
        )
        answer.status = status
        answer.errorCode = type
        return answer
    }

    private func write(
        _ answer: Answer,
        closes: Bool,
        isHead: Bool = false,
        isEarly: Bool = false,
        _ context: ChannelHandlerContext
    ) {
        var headers = HTTPHeaders()
        headers.reserveCapacity(6)
        let requestID = requestIDs.next()
        if service.logger.logLevel <= .debug { service.log(answer, requestID) }
        headers.add(name: "x-amzn-RequestId", value: requestID)
        headers.add(name: "Content-Type", value: answer.contentType)
        headers.add(name: "Content-Length", value: String(answer.body.readableBytes))
        headers.add(name: "Date", value: service.dates.now())
        if let methods = answer.allowedMethods { headers.add(name: "Allow", value: methods) }
        if closes {
            headers.add(name: "Connection", value: "close")
        } else if isHTTP10 {
            headers.add(name: "Connection", value: "keep-alive")
        }
        let head = HTTPResponseHead(version: .http1_1, status: answer.status, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if !isHead {
            context.write(wrapOutboundOut(.body(.byteBuffer(answer.body))), promise: nil)
        }
        let end = context.writeAndFlush(wrapOutboundOut(.end(nil)))
        guard closes, !isEarly else { return }
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        end.whenComplete { _ in bound.value.close(promise: nil) }
    }

    /// Gives back what is held.
    ///
    /// What is waited for comes, and is given back then.
    private func releaseMemory() {
        guard case .held(let bytes) = memory else { return }
        memory = .none
        service.memory.release(bytes)
    }
}
