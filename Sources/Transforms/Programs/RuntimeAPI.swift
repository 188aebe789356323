internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import Platform
internal import Records

/// Serves the Lambda Runtime API to one process, on a loopback port of its own.
struct RuntimeAPI: Sendable {
    private let channel: any Channel
    /// Host and port, as AWS_LAMBDA_RUNTIME_API has them.
    let address: String

    /// Begins to listen.
    static func start(_ session: RuntimeSession, functionARN: String) async throws -> RuntimeAPI {
        let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.configureHTTPServerPipeline()
                    try pipeline.addHandler(RuntimeHandler(session, functionARN: functionARN))
                }
            }
        let channel = try await bootstrap.bind(host: "127.0.0.1", port: 0).get()
        guard let port = channel.localAddress?.port else {
            throw ChannelError.unknownLocalAddress
        }
        return RuntimeAPI(channel: channel, address: "127.0.0.1:\(port)")
    }

    /// Stops to listen.
    func stop() { channel.close(promise: nil) }
}

/// One connection of the process: most use a single one for all they say.
private final class RuntimeHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private static let base = "/2018-06-01/runtime/"
    /// Beyond it a response is read and forgotten, and answered 413.
    private static let maximumBodyBytes = TransformLimits.maximumResponseBytes
    /// What is kept of any other body.
    private static let maximumMessageBytes = 64 * 1024

    private let session: RuntimeSession
    private let functionARN: String
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []
    private var bodyBytes = 0
    /// How much of the body is kept.
    private var keptBytes = 0
    private var waiting: Int?
    /// The invocation whose answer this connection brings.
    private var answered: String?

    init(_ session: RuntimeSession, functionARN: String) {
        self.session = session
        self.functionARN = functionARN
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = []
            bodyBytes = 0
            let path = Self.path(head)
            let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
            let loop = context.eventLoop
            let isResponse =
                path.count == 3 && path.last == "response"
                && session.beginAnswer(path[1]) { loop.execute { bound.value.dropAnswer() } }
            answered = isResponse ? path[1] : nil
            keptBytes = isResponse ? Self.maximumBodyBytes : Self.maximumMessageBytes
            if head.headers.first(name: "Expect")?.lowercased() == "100-continue" {
                let goOn = HTTPResponseHead(version: .http1_1, status: .continue)
                context.writeAndFlush(wrapOutboundOut(.head(goOn)), promise: nil)
            }
        case .body(let part):
            bodyBytes += part.readableBytes
            if bodyBytes <= keptBytes { body += part.readableBytesView }
        case .end:
            if let head { answer(head, context) }
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if let waiting { session.forget(waiting) }
        context.fireChannelInactive()
    }

    /// Another connection brings the answer.
    private func dropAnswer() {
        answered = nil
        body = []
        keptBytes = 0
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func answer(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let path = Self.path(head)
        switch (head.method, path.count, path.first, path.last) {
        case (.GET, 2, "invocation", "next"): next(context)
        case (.POST, 2, "init", "error"):
            session.initializationFailed(reason(head))
            accepted(context)
        case (.POST, 3, "invocation", "response"):
            guard answered == path[1] else { return unknownRequest(context) }
            answered = nil
            report(path[1], .success(Block(body)), context)
        case (.POST, 3, "invocation", "error"):
            let failure = InvocationFailure(.functionError, reason(head), endsProcess: false)
            report(path[1], .failure(failure), context)
        default: notFound(context)
        }
        body = []
    }

    /// The parts of a path behind the API's own; none where it is another.
    private static func path(_ head: HTTPRequestHead) -> [String] {
        guard head.uri.hasPrefix(base) else { return [] }
        return head.uri.dropFirst(base.count).split(separator: "/").map(String.init)
    }

    private func next(_ context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let loop = context.eventLoop
        let arn = functionARN
        waiting = session.next { [session] invocation in
            loop.execute {
                let (handler, context) = bound.value
                handler.waiting = nil
                guard context.channel.isActive else { return session.giveBack(invocation) }
                handler.respond(
                    .ok,
                    [
                        ("Lambda-Runtime-Aws-Request-Id", invocation.requestID),
                        (
                            "Lambda-Runtime-Deadline-Ms",
                            String(invocation.deadline.milliseconds)
                        ),
                        ("Lambda-Runtime-Invoked-Function-Arn", arn),
                        ("Lambda-Runtime-Trace-Id", Self.traceID(invocation.requestID)),
                    ],
                    Self.body(of: invocation.event, context),
                    context
                )
            }
        }
    }

    /// The event, without its newline.
    private static func body(
        of event: TransformEvent,
        _ context: ChannelHandlerContext
    ) -> ByteBuffer {
        let count = event.lineBytes - 1
        var buffer = context.channel.allocator.buffer(capacity: count + 1)
        while buffer.readableBytes < count {
            event.withLine(from: buffer.readableBytes) { _ = buffer.writeBytes($0) }
        }
        return buffer.readSlice(length: count) ?? buffer
    }

    /// A trace that nobody follows, in the form that runtimes expect.
    private static func traceID(_ requestID: String) -> String {
        let digits = requestID.filter { $0 != "-" }
        return "Root=1-\(digits.prefix(8))-\(digits.dropFirst(8).prefix(24));Sampled=0"
    }

    private func report(
        _ requestID: String,
        _ outcome: Result<Block, InvocationFailure>,
        _ context: ChannelHandlerContext
    ) {
        let isTooLarge = bodyBytes > Self.maximumBodyBytes
        let tooLarge = InvocationFailure(
            .functionError,
            "the response is larger than \(Self.maximumBodyBytes) bytes"
        )
        switch session.report(requestID, isTooLarge ? .failure(tooLarge) : outcome) {
        case .unknownRequest: unknownRequest(context)
        case .accepted where isTooLarge:
            error(.payloadTooLarge, "RequestEntityTooLarge", tooLarge.reason, context)
        case .accepted:
            accepted(context)
        }
    }

    private func unknownRequest(_ context: ChannelHandlerContext) {
        error(.badRequest, "InvalidRequestID", "Invalid request ID", context)
    }

    /// What the process says went wrong, for the operator.
    private func reason(_ head: HTTPRequestHead) -> String {
        let text = String(decoding: body.prefix(1024), as: UTF8.self)
        let type = head.headers.first(name: "Lambda-Runtime-Function-Error-Type") ?? ""
        return "\(type.prefix(256)) \(text)"
    }

    private func accepted(_ context: ChannelHandlerContext) {
        respond(.accepted, [], #"{"status":"OK"}"#, context)
    }

    private func notFound(_ context: ChannelHandlerContext) {
        error(.notFound, "NotFound", "There is nothing here", context)
    }

    private func error(
        _ status: HTTPResponseStatus,
        _ type: String,
        _ message: String,
        _ context: ChannelHandlerContext
    ) {
        let text = #"{"errorType":"\#(type)","errorMessage":"\#(message)"}"#
        respond(status, [], text, context)
    }

    private func respond(
        _ status: HTTPResponseStatus,
        _ headers: [(String, String)],
        _ text: String,
        _ context: ChannelHandlerContext
    ) {
        respond(status, headers, context.channel.allocator.buffer(string: text), context)
    }

    /// Head and body in one write: in two, the second would wait for the first's acknowledgement.
    private func respond(
        _ status: HTTPResponseStatus,
        _ headers: [(String, String)],
        _ body: ByteBuffer,
        _ context: ChannelHandlerContext
    ) {
        var fields = HTTPHeaders(headers)
        fields.add(name: "Content-Type", value: "application/json")
        fields.add(name: "Content-Length", value: String(body.readableBytes))
        let head = HTTPResponseHead(version: .http1_1, status: status, headers: fields)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if self.head?.method != .HEAD {
            context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        }
        let isKeptAlive = self.head?.isKeepAlive ?? true
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete {
            [channel = context.channel] _ in
            if !isKeptAlive { channel.close(promise: nil) }
        }
    }
}
