internal import NIOCore
internal import NIOHTTP1
internal import Records
internal import SigV4

/// Requests as they arrive.
extension HTTPHandler {
    func begin(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        if case .closed = state { return }
        lastProgress = .now()
        var request = IncomingRequest(head, core.router.route(head))
        let declared = request.declaredBytes ?? 0
        guard declared <= Limits.maximumRequestBodyBytes else {
            return refuseTooLarge(request, context)
        }
        request.authentication = core.authentication(of: request)
        if let error = request.authentication?.error,
            (request.declaredBytes ?? .max) > Limits.maximumRefusedBodyBytes
        {
            // Nobody sends megabytes here who has not said who they are.
            return refuse(request, error.refusal, context)
        }
        state = .receiving(request)
        sendContinue(ifExpectedBy: request, context)
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

    func take(_ part: ByteBuffer, _ context: ChannelHandlerContext) {
        guard case .receiving(var request) = state else { return }
        request.bodyBytes += part.readableBytes
        guard request.bodyBytes <= Limits.maximumRequestBodyBytes else {
            return refuseTooLarge(request, context)
        }
        // Of a request that is refused already, nothing is kept.
        if request.authentication?.error != nil {
            state = .receiving(request)
            return
        }
        chargeMemory(for: request, context)
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

    func end(_ context: ChannelHandlerContext) {
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
    func complete(_ request: IncomingRequest, _ context: ChannelHandlerContext) {
        guard request.caller == nil else { return dispatch(request, context) }
        var request = request
        request.caller =
            request.authentication.map { authentication in
                Result { () throws(SignatureError) in try authentication.finish() }
            } ?? core.unnamedCaller
        guard request.isPacked, case .success = request.caller else {
            return dispatch(request, context)
        }
        state = .receiving(request)
        chargeMemoryForUnpacking(context)
        if !memory.isWaiting { dispatch(request, context) }
    }
}
