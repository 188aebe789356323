internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import Records

/// Requests on their way to their service, and answers to their client.
extension HTTPHandler {
    func dispatch(_ request: IncomingRequest, _ context: ChannelHandlerContext) {
        let head = request.head
        // NIO's parser stops at an upgrade, which is not done here: the connection ends with it.
        let keepAlive =
            head.isKeepAlive && head.method != .CONNECT && !head.headers.contains(name: "upgrade")
        isHTTP10 = head.version == .http1_0
        state = .answering(keepAlive: keepAlive, isHead: head.method == .HEAD)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        core.answer(request, context.channel.allocator) { answer in
            // Never from within the read: each answer lets the next pipelined request in, and so
            // many would come to lie on one stack.
            eventLoop.execute {
                let (handler, context) = bound.value
                handler.send(answer(), context)
            }
        }
    }

    private func send(_ answer: HTTPAnswer, _ context: ChannelHandlerContext) {
        releaseMemory()
        guard !isGone, case .answering(let keepAlive, let isHead) = state else { return }
        let closes = !keepAlive || hasInputEnded
        state = closes ? .closed : .idle
        lastProgress = .now()
        write(answer, closes: closes, isHead: isHead, context)
    }

    /// Answers before the request has ended, and closes once it has.
    func refuse(
        _ request: IncomingRequest,
        _ refusal: HTTPRefusal,
        _ context: ChannelHandlerContext
    ) {
        releaseMemory()
        state = .discarding
        lastProgress = .now()
        let answer = core.answer(to: refusal, of: request, context.channel.allocator)
        write(answer, closes: true, isEarly: true, context)
    }

    func refuseTooLarge(_ request: IncomingRequest, _ context: ChannelHandlerContext) {
        let maximum = Limits.maximumRequestBodyBytes
        refuse(request, .bodyTooLarge(maximumBytes: maximum), context)
    }

    private func write(
        _ answer: HTTPAnswer,
        closes: Bool,
        isHead: Bool = false,
        isEarly: Bool = false,
        _ context: ChannelHandlerContext
    ) {
        var headers = HTTPHeaders()
        headers.reserveCapacity(6)
        let requestID = requestIDs.next()
        if core.logger.logLevel <= .debug { core.log(answer, requestID) }
        headers.add(name: "x-amzn-RequestId", value: requestID)
        headers.add(name: "Content-Type", value: answer.contentType)
        headers.add(name: "Content-Length", value: String(answer.body.readableBytes))
        headers.add(name: "Date", value: core.dates.now())
        if let methods = answer.allowedMethods { headers.add(name: "Allow", value: methods) }
        if closes {
            headers.add(name: "Connection", value: "close")
        } else if isHTTP10 {
            headers.add(name: "Connection", value: "keep-alive")
        }
        let status = HTTPResponseStatus(statusCode: answer.status)
        let head = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if !isHead {
            context.write(wrapOutboundOut(.body(.byteBuffer(answer.body))), promise: nil)
        }
        let end = context.writeAndFlush(wrapOutboundOut(.end(nil)))
        guard closes, !isEarly else { return }
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        end.whenComplete { _ in bound.value.close(promise: nil) }
    }
}
