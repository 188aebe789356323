package import Metrics

/// What is counted of connections; services count their requests.
package final class HTTPServerMetrics: Sendable {
    /// Connections that are open now.
    let connections: Meter

    /// Counts at a factory.
    package init(_ factory: any MetricsFactory) {
        connections = Meter(label: "hydrant_connections_open", factory: factory)
        connections.set(0)
    }

    /// Those of the process's own factory.
    package static var inherited: HTTPServerMetrics { HTTPServerMetrics(MetricsSystem.factory) }

    /// What each metric means.
    package static let help = [
        "hydrant_connections_open": "Connections of clients that are open."
    ]
}
