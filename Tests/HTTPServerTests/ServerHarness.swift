import Egress
import Foundation
import Glibc
import HTTPServer
import Logging
import NIOCore
import NIOPosix
import Records
import Synchronization
import TestSupport

/// Lets threads pass, unless it is closed.
final class Gate: Sendable {
    private let isClosed = Mutex(false)
    private let opened = DispatchSemaphore(value: 0)

    func close() { isClosed.withLock { $0 = true } }

    func open() {
        isClosed.withLock { $0 = false }
        opened.signal()
    }

    func pass() {
        guard isClosed.withLock({ $0 }) else { return }
        // A test that never opens it fails, and does not hang.
        _ = opened.wait(timeout: .now() + 10)
        opened.signal()
    }
}

/// Says what it was told, and who may hear it.
final class EchoService: HTTPService {
    static let name = "echo"
    static let actions = ["echo:Say", "echo:Shout"]

    private let prefix: String
    private let said = Mutex<[String]>([])
    /// Holds answers back until somebody says so.
    let answers = Gate()
    /// Told of each request that came.
    let arrivals = AsyncStream.makeStream(of: Void.self)

    init(prefix: String = "Echo") { self.prefix = prefix }

    /// The bodies of all requests that came.
    var bodies: [String] { said.withLock { $0 } }

    func claims(_ head: RequestHead) -> Bool {
        head.header("x-amz-target")?.hasPrefix("\(prefix).") ?? false
    }

    func operationName(of head: RequestHead) -> String? {
        claims(head) ? head.header("x-amz-target") : nil
    }

    func answer(
        _ request: ReceivedRequest,
        done: @escaping @Sendable (@escaping HTTPAnswer.Maker) -> Void
    ) {
        let text = String(buffer: request.body)
        said.withLock { $0.append(text) }
        arrivals.continuation.yield()
        let isAllowed = request.caller.allows("echo:Say", on: text)
        let answer =
            isAllowed
            ? "\(prefix) said: \(text.prefix(40))"
            : "\(request.caller.accessKeyID) may not say \(text)"
        let allocator = request.allocator
        // On another thread, as logs do.
        DispatchQueue.global().async { [answers] in
            answers.pass()
            done({ Self.answer(isAllowed ? 200 : 400, answer, allocator) })
        }
    }

    func answer(
        to refusal: HTTPRefusal,
        of head: RequestHead?,
        _ allocator: ByteBufferAllocator
    ) -> HTTPAnswer {
        let (status, text) =
            switch refusal {
            case .bodyTooLarge: (413, "too large")
            case .timedOut: (408, "too slow")
            case .unauthenticated(let code, _): (401, code)
            case .notFound: (404, "not found")
            case .methodNotAllowed: (405, "not so")
            }
        return Self.answer(status, "\(prefix): \(text)\(head == nil ? " here" : "")", allocator)
    }

    private static func answer(
        _ status: Int,
        _ text: String,
        _ allocator: ByteBufferAllocator
    ) -> HTTPAnswer {
        HTTPAnswer(
            status: status,
            contentType: "text/plain",
            body: allocator.buffer(string: text)
        )
    }
}

/// A running server with an echo on a free port, and a client.
func withServer(
    _ limits: HTTPServerLimits = HTTPServerLimits(),
    access: AccessControl? = nil,
    others: [EchoService] = [],
    _ body: (_ service: EchoService, _ port: Int, _ client: HTTPClient) async throws -> Void
) async throws {
    let service = EchoService()
    let (ports, port) = AsyncStream.makeStream(of: Int.self)
    var configuration = HTTPServerConfiguration(
        host: "127.0.0.1",
        port: 0,
        time: SystemTime(),
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    )
    configuration.limits = limits
    configuration.access = access
    let server = HTTPServer(
        configuration,
        services: [service] + others,
        pages: [
            "/health": StatusPage(contentType: "application/json") {
                StatusPage.Content(#"{"status":"ok"}"#)
            },
            "/sick": StatusPage(contentType: "text/plain") {
                StatusPage.Content(isGood: false, "sick")
            },
        ]
    ) { _, number in port.yield(number) }
    let running = Task { try await server.run() }
    let client = HTTPClient()
    for await number in ports {
        try await body(service, number, client)
        break
    }
    client.shutDown()
    running.cancel()
    try await running.value
}

/// A connection that is reset when it is closed, as that of a program that was killed.
func connectToReset(_ port: Int) async throws -> any Channel {
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .connect(host: "127.0.0.1", port: port).get()
    let provider = channel as? any SocketOptionProvider
    try await provider?.setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
    return channel
}

/// Sends bytes on a connection of its own and gives all that comes back until the server closes it,
/// or until `enough` says so.
func exchange(
    _ port: Int,
    _ parts: [String],
    sent: AsyncStream<Void>.Continuation? = nil,
    enough: @escaping @Sendable (String) -> Bool = { _ in false }
) async throws -> String {
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .connect(host: "127.0.0.1", port: port) { channel in
            channel.eventLoop.makeCompletedFuture {
                try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
            }
        }
    return try await channel.executeThenClose { inbound, outbound in
        for part in parts { try await outbound.write(ByteBuffer(string: part)) }
        sent?.yield()
        var text = ""
        for try await buffer in inbound {
            text += String(buffer: buffer)
            if enough(text) { break }
        }
        return text
    }
}
