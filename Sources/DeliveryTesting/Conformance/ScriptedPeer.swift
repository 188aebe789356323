internal import Foundation
internal import Glibc
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// An HTTP server on loopback whose answers are a test's, down to the bytes: for what real servers do
/// not do on demand.
final class ScriptedPeer: Sendable {
    /// A request that arrived whole.
    struct Request: Sendable {
        /// The method.
        var method: String
        /// The path with its query.
        var target: String
        /// Header lines, with names in small letters.
        var headers: [(name: String, value: String)]
        /// The body, as it came.
        var body: [UInt8]
    }

    /// What becomes of a request.
    enum Action: Sendable {
        /// An answer, after which the connection stays.
        case answer(status: Int, headers: [(name: String, value: String)] = [], body: [UInt8] = [])
        /// The connection is reset.
        case reset
        /// The answer promises more than comes, and the connection ends.
        case cut
        /// Nothing happens.
        case silence
        /// An answer of a gigabyte that begins so, and goes on with spaces.
        case flood([UInt8])
    }

    private let script: @Sendable (Request) -> Action
    private let channel: any Channel
    private let floodedBytes = Atomic(0)
    /// Where it listens.
    let port: Int
    /// How many bytes of floods were taken.
    var flooded: Int { floodedBytes.load(ordering: .relaxed) }

    private final class Box: Sendable {
        let peer = Mutex<ScriptedPeer?>(nil)
    }

    /// Listens on a free port.
    init(_ script: @escaping @Sendable (Request) -> Action) async throws {
        let box = Box()
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 64)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let peer = box.peer.withLock(\.self) else { return }
                    try channel.pipeline.syncOperations.addHandler(Handler(peer))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = channel.localAddress?.port ?? 0
        self.script = script
        box.peer.withLock { $0 = self }
    }

    /// Listens no more.
    func stop() async throws { try await channel.close() }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private static let floodBytes = 1024 * 1024 * 1024
        private let peer: ScriptedPeer
        private var received: [UInt8] = []
        private var wasAsked = false
        private var leftToFlood = 0

        init(_ peer: ScriptedPeer) { self.peer = peer }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            received += Array(unwrapInboundIn(data).readableBytesView)
            while let request = nextRequest(context) { act(peer.script(request), context) }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }

        /// Takes a request off what was received; nil where it is not whole.
        private func nextRequest(_ context: ChannelHandlerContext) -> Request? {
            let end = Array("\r\n\r\n".utf8)
            guard received.count >= end.count,
                let place = (0...received.count - end.count)
                    .first(where: { received[$0..<$0 + end.count].elementsEqual(end) })
            else { return nil }
            let lines = String(decoding: received[..<place], as: UTF8.self)
                .components(separatedBy: "\r\n")
            let headers = lines.dropFirst().map { line in
                let parts = line.split(separator: ":", maxSplits: 1)
                return (
                    name: parts[0].lowercased(),
                    value: parts.count > 1 ? String(parts[1].drop { $0 == " " }) : ""
                )
            }
            let length = headers.first { $0.name == "content-length" }.flatMap { Int($0.value) }
            let start = place + end.count
            let last = start + (length ?? 0)
            guard received.count >= last else {
                if !wasAsked, headers.contains(where: { $0.name == "expect" }) {
                    wasAsked = true
                    write("HTTP/1.1 100 Continue\r\n\r\n", context)
                }
                return nil
            }
            let words = lines[0].split(separator: " ")
            let body = Array(received[start..<last])
            received.removeFirst(last)
            wasAsked = false
            return Request(
                method: String(words[0]),
                target: words.count > 1 ? String(words[1]) : "",
                headers: headers,
                body: body
            )
        }

        private func write(_ text: String, _ context: ChannelHandlerContext) {
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
        }

        private func act(_ action: Action, _ context: ChannelHandlerContext) {
            switch action {
            case .silence: break
            case .answer(let status, let headers, let body):
                let lines = headers.map { "\($0.name): \($0.value)\r\n" }.joined()
                let head =
                    "HTTP/1.1 \(status) Scripted\r\n\(lines)Content-Length: \(body.count)\r\n\r\n"
                context.write(wrapOutboundOut(ByteBuffer(string: head)), promise: nil)
                context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: body)), promise: nil)
            case .cut:
                write("HTTP/1.1 200 Scripted\r\nContent-Length: 1000\r\n\r\n{\"it", context)
                context.close(promise: nil)
            case .reset:
                let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
                let options = context.channel as? any SocketOptionProvider
                options?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
                    .whenComplete { _ in bound.value.close(promise: nil) }
            case .flood(let beginning):
                leftToFlood = Self.floodBytes
                write(
                    "HTTP/1.1 200 Scripted\r\nContent-Type: application/json\r\n"
                        + "Content-Length: \(beginning.count + leftToFlood)\r\n\r\n"
                        + String(decoding: beginning, as: UTF8.self),
                    context
                )
                flood(context)
            }
        }

        func channelWritabilityChanged(context: ChannelHandlerContext) { flood(context) }

        private static let spaces = ByteBuffer(repeating: UInt8(ascii: " "), count: 64 * 1024)

        private func flood(_ context: ChannelHandlerContext) {
            while leftToFlood > 0, context.channel.isWritable, context.channel.isActive {
                leftToFlood -= Self.spaces.readableBytes
                peer.floodedBytes.add(Self.spaces.readableBytes, ordering: .relaxed)
                context.writeAndFlush(wrapOutboundOut(Self.spaces), promise: nil)
            }
        }
    }
}
