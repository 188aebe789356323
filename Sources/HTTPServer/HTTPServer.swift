internal import Glibc
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import ServiceLifecycle

/// The HTTP server.
package final class HTTPServer: Service {
    private let configuration: HTTPServerConfiguration
    private let core: ServerCore
    private let onListening: @Sendable (_ host: String, _ port: Int) -> Void

    /// Requests under way may finish for so long after the order to stop.
    private static let gracePeriod = Duration.seconds(5)

    /// A server of some services.
    ///
    /// - Parameters:
    ///   - configuration: How the server behaves.
    ///   - services: What it serves; at least one.
    ///   - pages: What is read by GET, by path.
    ///   - onListening: Called once with the address that the server got.
    package init(
        _ configuration: HTTPServerConfiguration,
        services: [any HTTPService],
        pages: [String: StatusPage] = [:],
        onListening: @escaping @Sendable (_ host: String, _ port: Int) -> Void
    ) {
        self.configuration = configuration
        self.onListening = onListening
        core = ServerCore(configuration, services: services, pages: pages)
    }

    /// Serves until the graceful shutdown or cancellation; then finishes what was begun.
    package func run() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: System.coreCount)
        let connections = Connections(
            maximum: configuration.limits.maximumConnections,
            configuration.metrics.connections
        )
        let outcome: Result<Void, any Error>
        do {
            let channel = try await bindServer(group, connections)
            onListening(
                channel.localAddress?.ipAddress ?? configuration.host,
                channel.localAddress?.port ?? configuration.port
            )
            let (orders, order) = AsyncStream.makeStream(of: Void.self)
            await withTaskCancellationOrGracefulShutdownHandler {
                for await _ in orders {}
            } onCancelOrGracefulShutdown: {
                order.finish()
            }
            configuration.logger.info("no longer accepting connections")
            try? await channel.close()  // an error says that it is closed already
            await connections.quiesce(within: Self.gracePeriod, on: group.next())
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        try await group.shutdownGracefully()
        try outcome.get()
    }

    private func bindServer(
        _ group: MultiThreadedEventLoopGroup,
        _ connections: Connections
    ) async throws -> any Channel {
        let host = configuration.host
        let port = configuration.port
        do {
            return try await bootstrap(group, connections).bind(host: host, port: port).get()
        } catch {
            throw ListenError(
                description: "cannot listen on \(host) port \(port): \(Self.reason(error))"
            )
        }
    }

    private static func reason(_ error: any Error) -> String {
        guard let error = error as? IOError else { return "\(error)" }
        let text = String(cString: strerror(error.errnoCode))
        return switch error.errnoCode {
        case EADDRINUSE: "\(text): end what has it, or choose another with --port"
        case EACCES: "\(text): ports below 1024 need a right of their own (CAP_NET_BIND_SERVICE)"
        case EADDRNOTAVAIL: "\(text): this machine does not have it"
        default: text
        }
    }

    private func bootstrap(
        _ group: MultiThreadedEventLoopGroup,
        _ connections: Connections
    )
        -> ServerBootstrap
    {
        let core = core
        let transportSecurity = configuration.transportSecurity
        return ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.maxMessagesPerRead, value: 4)
            .childChannelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(
                    minimum: 2048,
                    initial: 16 * 1024,
                    maximum: 256 * 1024
                )
            )
            .childChannelInitializer {
                [logger = configuration.logger, maximum = configuration.limits.maximumConnections]
                channel in
                guard connections.add(channel) else {
                    logger.warning(
                        "connection closed: the limit on client connections is reached",
                        metadata: ["maximum": "\(maximum)"]
                    )
                    return channel.eventLoop.makeFailedFuture(TooManyConnections())
                }
                return channel.eventLoop.makeCompletedFuture {
                    let sync = channel.pipeline.syncOperations
                    if let transportSecurity {
                        try sync.addHandler(transportSecurity.handler())
                    }
                    // A client that does not read its answers is not read from either.
                    try sync.addHandler(BackPressureHandler())
                    try sync.configureHTTPServerPipeline(withErrorHandling: true)
                    try sync.addHandler(HTTPHandler(core))
                }
            }
    }
}

/// An address that the server does not get, and why.
package struct ListenError: Error, CustomStringConvertible {
    /// For the operator.
    package var description: String
}

private struct TooManyConnections: Error {}
