internal import NIOCore
internal import Records

/// The connection's share of the memory for bodies.
extension HTTPHandler {
    /// Bytes that a body is charged for beyond what has arrived, so that it does not ask for every read.
    private static let stepBytes = 256 * 1024

    /// Has the body charged for what has arrived of it.
    func chargeMemory(for request: IncomingRequest, _ context: ChannelHandlerContext) {
        switch memory {
        case .none:
            // Chunked bodies do not say their size; packed ones are unpacked beside what arrived.
            let limit =
                (request.declaredBytes ?? Limits.maximumRequestBodyBytes)
                + (request.isPacked ? Limits.maximumRequestBodyBytes : 0)
            acquireMemory(core.memory.claim(limit: limit), request.bodyBytes, context)
        case .held(let claim) where claim.held < request.bodyBytes:
            acquireMemory(claim, request.bodyBytes, context)
        case .held, .waiting: break
        }
    }

    func acquireMemory(
        _ claim: MemoryBudget.Claim,
        _ arrived: Int,
        _ context: ChannelHandlerContext
    ) {
        var claim = claim
        let isSmall = claim.limit <= Limits.smallRequestBodyBytes
        let bytes = isSmall ? claim.limit : min(claim.limit, arrived + Self.stepBytes)
        if let room = core.memory.grow(&claim, to: bytes, on: context.eventLoop) {
            memory = .waiting(claim)
            wait(for: room, context)
        } else {
            memory = .held(claim)
        }
    }

    /// Has a packed body charged for what it unpacks to as well.
    func chargeMemoryForUnpacking(_ context: ChannelHandlerContext) {
        guard case .held(let claim) = memory else { return }
        acquireMemory(claim, claim.limit, context)
    }

    /// Leaves the rest of the request in the socket until there is memory for it.
    private func wait(for room: EventLoopFuture<Void>, _ context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let began = NIODeadline.now()
        _ = context.channel.setOption(.autoRead, value: false)
        room.whenSuccess {
            let (handler, context) = bound.value
            handler.memoryIsThere(waited: .now() - began, context)
        }
    }

    private func memoryIsThere(waited: TimeAmount, _ context: ChannelHandlerContext) {
        guard !isGone else { return }
        // The client may have been refused meanwhile.
        if case .waiting(let claim) = memory, case .receiving(let request) = state {
            memory = .held(claim)
            // It is not the client's time.
            lastProgress = lastProgress + waited
            if request.hasEnded { complete(request, context) }
        }
        guard !memory.isWaiting else { return }
        _ = context.channel.setOption(.autoRead, value: true)
        context.read()
    }

    /// Gives back what is held, and waits for no more.
    func releaseMemory() {
        switch memory {
        case .none: break
        case .held(let claim), .waiting(let claim):
            memory = .none
            core.memory.release(claim)
        }
    }
}
