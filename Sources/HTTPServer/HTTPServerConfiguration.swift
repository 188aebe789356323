package import Logging
package import Records

/// The bounds of an HTTP server.
package struct HTTPServerLimits: Sendable {
    /// A connection without a request is closed after this.
    package var idleTimeout: Duration
    /// A request must be complete after this.
    package var requestTimeout: Duration
    /// Bytes of request bodies in memory at one time.
    package var maximumBodiesInMemoryBytes: Int
    /// Open connections at one time.
    package var maximumConnections: Int

    /// Bounds; by default those of `Limits`.
    package init(
        idleTimeout: Duration = .seconds(75),
        requestTimeout: Duration = .seconds(60),
        maximumBodiesInMemoryBytes: Int = Limits.maximumRequestBodiesInMemoryBytes,
        maximumConnections: Int = Limits.maximumConnections
    ) {
        self.idleTimeout = idleTimeout
        self.requestTimeout = requestTimeout
        self.maximumBodiesInMemoryBytes = maximumBodiesInMemoryBytes
        self.maximumConnections = maximumConnections
    }
}

/// How an HTTP server behaves.
package struct HTTPServerConfiguration: Sendable {
    /// The address or name to listen on.
    package var host: String
    /// The port to listen on; 0 stands for any free one.
    package var port: Int
    /// Who may do what; nil lets everybody do everything.
    package var access: AccessControl?
    /// TLS; nil for none.
    package var transportSecurity: TransportSecurity?
    /// The bounds.
    package var limits = HTTPServerLimits()
    /// What is counted.
    package var metrics: HTTPServerMetrics
    /// The clock.
    package var time: any TimeSource
    /// Where the server logs.
    package var logger: Logger

    /// A server without TLS that lets everybody do everything.
    package init(
        host: String,
        port: Int,
        metrics: HTTPServerMetrics = .inherited,
        time: any TimeSource,
        logger: Logger
    ) {
        self.host = host
        self.port = port
        self.metrics = metrics
        self.time = time
        self.logger = logger
    }
}
