internal import NIOCore
internal import Records

/// The connection's share of the memory for bodies.
extension HTTPHandler {
    /// Takes from the budget what the body may come to, once its first bytes are there.
    func reserveMemory(for request: IncomingRequest, _ context: ChannelHandlerContext) {
        guard case .none = memory else { return }
        // Chunked bodies do not say their size.
        acquireMemory(request.declaredBytes ?? Limits.maximumRequestBodyBytes, context)
    }

    func acquireMemory(_ bytes: Int, _ context: ChannelHandlerContext) {
        if let room = core.memory.acquire(bytes, on: context.eventLoop) {
            memory = .waiting(bytes)
            wait(for: room, bytes, context)
        } else {
            memory = .held(bytes)
        }
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

    /// Gives back what is held.
    ///
    /// What is waited for comes, and is given back then.
    func releaseMemory() {
        guard case .held(let bytes) = memory else { return }
        memory = .none
        core.memory.release(bytes)
    }
}
