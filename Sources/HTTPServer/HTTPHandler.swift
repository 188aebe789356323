internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOSSL
internal import Records

/// One connection's requests: gathers a body, answers, and keeps to the limits.
///
/// Behind NIO's pipelining handler, so that one request at a time arrives here.
final class HTTPHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    enum State {
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

    /// This connection's share of the memory budget.
    enum Memory {
        case none
        /// More is asked for; the answer is on its way.
        case waiting(MemoryBudget.Claim)
        case held(MemoryBudget.Claim)

        var isWaiting: Bool {
            if case .waiting = self { true } else { false }
        }
    }

    let core: ServerCore
    var state = State.idle
    var memory = Memory.none
    var requestIDs = RequestIDs()
    var isHTTP10 = false
    var lastProgress = NIODeadline.now()
    private var watch: RepeatedTask?
    var isGone = false
    var hasInputEnded = false

    init(_ core: ServerCore) { self.core = core }

    // MARK: Life of the connection

    func channelActive(context: ChannelHandlerContext) {
        let channel = context.channel
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let period = min(
            core.limits.idleTimeout / 4,
            core.limits.requestTimeout / 4,
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
        // What a service works on is in memory until it has answered.
        if case .answering = state {} else { releaseMemory() }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The client ended its side without TLS's goodbye, and may still read the answer.
        if case .uncleanShutdown? = error as? NIOSSLError { return }
        core.logger.debug("connection error", metadata: ["error": "\(error)"])
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
            if age > TimeAmount(core.limits.idleTimeout) { close(context) }
        case .receiving(let request):
            guard !memory.isWaiting else { return }
            let isLate = age > TimeAmount(core.limits.requestTimeout)
            // Who holds memory that others wait for must make use of it.
            let seconds = Int(age.nanoseconds / 1_000_000_000)
            let isSlow =
                seconds >= 5 && core.memory.isWaitedFor
                && request.bodyBytes < seconds * Limits.minimumBodyBytesPerSecond
            guard isLate || isSlow else { return }
            refuse(request, .timedOut, context)
        case .answering:
            break
        }
    }

    func close(_ context: ChannelHandlerContext) {
        state = .closed
        releaseMemory()
        context.close(promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isGone else { return }
        switch unwrapInboundIn(data) {
        case .head(let head): begin(head, context)
        case .body(let part): take(part, context)
        case .end: end(context)
        }
    }
}
