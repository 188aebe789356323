import NIOCore
import NIOPosix
import Synchronization

/// A TCP server that answers with bytes that a test wrote: for what real servers do not do.
final class RawServer: Sendable {
    /// What to do with a connection's bytes so far; nil waits for more.
    typealias Script = @Sendable (_ received: String) -> Action?

    enum Action: Sendable {
        case answer(String)
        case answerAndClose(String)
        case close
        /// Closes the connection, and takes no others.
        case closeAndStop
    }

    let port: Int
    private let channel: any Channel
    private let accepted: Counter

    private final class Counter: Sendable {
        let value = Atomic(0)
    }

    /// How many connections there were.
    var connections: Int { accepted.value.load(ordering: .relaxed) }

    init(_ script: @escaping Script) async throws {
        let accepted = Counter()
        self.accepted = accepted
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                accepted.value.add(1, ordering: .relaxed)
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Handler(script))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = channel.localAddress?.port ?? 0
    }

    func stop() async throws { try await channel.close() }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let script: Script
        private var received = ""

        init(_ script: @escaping Script) { self.script = script }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            received += String(buffer: unwrapInboundIn(data))
            guard let action = script(received) else { return }
            received = ""
            switch action {
            case .close: context.close(promise: nil)
            case .closeAndStop:
                let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
                let stopped =
                    context.channel.parent?.close() ?? context.eventLoop.makeSucceededVoidFuture()
                stopped.hop(to: context.eventLoop).whenComplete { _ in
                    bound.value.close(promise: nil)
                }
            case .answer(let text):
                context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
            case .answerAndClose(let text):
                let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
                context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)))
                    .whenComplete { _ in bound.value.close(promise: nil) }
            }
        }
    }
}
