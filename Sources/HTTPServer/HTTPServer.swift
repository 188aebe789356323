internal import Glibc
package import Logging
internal import Metrics
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
package import Records
internal import ServiceLifecycle
internal import Synchronization

/// The HTTP server.
package final class IngestServer: Service {
    private let host: String
    private let port: Int
    private let service: IngestService
    private let transportSecurity: TransportSecurity?
    private let onListening: @Sendable (_ host: String, _ port: Int) -> Void
    private let logger: Logger

    /// Requests under way may finish for so long after the order to stop.
    private static let gracePeriod = Duration.seconds(5)

    /// A server that is to listen on `host` and `port`; 0 stands for any free port.
    ///
    /// `onListening` is called once with the address that it got.
    ///
    /// - Parameters:
    ///   - host: An address or a name.
    ///   - port: A port.
    ///   - appender: Takes records.
    ///   - registry: Keeps the streams.
    ///   - streamOperator: Serves the operations that AWS does not have; nil for none.
    ///   - isStrict: With the API model's own patterns where they would be relaxed otherwise.
    ///   - access: Who may do what; nil lets everybody do everything.
    ///   - transportSecurity: TLS; nil for none.
    ///   - pages: What is read by GET, by path.
    ///   - metrics: What is counted.
    ///   - time: The clock.
    ///   - options: How the server behaves.
    ///   - logger: Where it logs.
    ///   - onListening: See above.
    package init(
        host: String,
        port: Int,
        appender: any RecordAppender,
        registry: any DeliveryStreamRegistry,
        streamOperator: (any StreamOperator)? = nil,
        isStrict: Bool = false,
        access: AccessControl? = nil,
        transportSecurity: TransportSecurity? = nil,
        pages: [String: StatusPage] = [:],
        metrics: IngestMetrics = .inherited,
        time: any TimeSource,
        options: IngestOptions = IngestOptions(),
        logger: Logger,
        onListening: @escaping @Sendable (_ host: String, _ port: Int) -> Void
    ) {
        self.host = host
        self.port = port
        self.onListening = onListening
        self.logger = logger
        self.transportSecurity = transportSecurity
        service = IngestService(
            appender: appender,
            control: ControlPlane(
                registry: registry,
                time: time,
                isStrict: isStrict,
                streamOperator: streamOperator
            ),
            access: access,
            pages: pages,
            metrics: metrics,
            time: time,
            options: options,
            logger: logger
        )
    }

    /// Serves until the graceful shutdown or cancellation; then finishes what was begun.
    package func run() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: System.coreCount)
        let connections = Connections(
            maximum: service.options.maximumConnections,
            service.metrics.connections
        )
        let outcome: Result<Void, any Error>
        do {
            let channel = try await bindServer(group, connections)
            onListening(
                channel.localAddress?.ipAddress ?? host,
                channel.localAddress?.port ?? port
            )
            let (orders, order) = AsyncStream.makeStream(of: Void.self)
            await withTaskCancellationOrGracefulShutdownHandler {
                for await _ in orders {}
            } onCancelOrGracefulShutdown: {
                order.finish()
            }
            logger.info("no longer accepting connections")
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
        let service = service
        let transportSecurity = transportSecurity
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
            .childChannelInitializer { channel in
                guard connections.add(channel) else {
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
                    try sync.addHandler(FirehoseHandler(service))
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

/// The open connections, for the bound on their number and for the end.
private final class Connections: Sendable {
    private let maximum: Int
    private let meter: Meter
    private let channels = Mutex<[ObjectIdentifier: any Channel]>([:])

    init(maximum: Int, _ meter: Meter) {
        self.maximum = maximum
        self.meter = meter
    }

    /// Takes a new connection in; false where there are enough.
    func add(_ channel: any Channel) -> Bool {
        let isTaken = channels.withLock { channels in
            guard channels.count < maximum else { return false }
            channels[ObjectIdentifier(channel)] = channel
            return true
        }
        if isTaken {
            meter.increment()
            channel.closeFuture.whenComplete { _ in
                self.meter.decrement()
                self.channels.withLock { $0[ObjectIdentifier(channel)] = nil }
            }
        }
        return isTaken
    }

    /// Has each connection finish its request and close; closes what is left after the period.
    func quiesce(within period: Duration, on eventLoop: any EventLoop) async {
        let open = channels.withLock { Array($0.values) }
        for channel in open {
            channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        }
        let deadline = eventLoop.scheduleTask(in: TimeAmount(period)) {
            for channel in open { channel.close(promise: nil) }
        }
        for channel in open { try? await channel.closeFuture.get() }
        deadline.cancel()
    }
}
