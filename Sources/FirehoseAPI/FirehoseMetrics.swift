package import Metrics
internal import Synchronization

/// What is counted of the API's requests, whatever stream they are for.
///
/// Labels are the API's operations and error codes, which are few.
package final class FirehoseMetrics: Sendable {
    private struct Call: Hashable {
        var operation: Operation?
        var code: String
    }
    private struct Made {
        var requests: [Call: Counter] = [:]
        var latencies: [Operation: Timer] = [:]
    }
    private let factory: any MetricsFactory
    private let made = Mutex(Made())

    /// Counts at a factory.
    package init(_ factory: any MetricsFactory) { self.factory = factory }

    /// Those of the process's own factory.
    package static var inherited: FirehoseMetrics { FirehoseMetrics(MetricsSystem.factory) }

    /// A request is answered; `code` is AWS's, nil for success.
    func answered(_ operation: Operation?, code: String?) {
        let call = Call(operation: operation, code: code ?? "OK")
        let counter = made.withLock { made in
            if let counter = made.requests[call] { return counter }
            let counter = Counter(
                label: "hydrant_api_requests_total",
                dimensions: [
                    ("operation", call.operation?.rawValue ?? "unknown"), ("code", call.code),
                ],
                factory: factory
            )
            made.requests[call] = counter
            return counter
        }
        counter.increment()
    }

    /// A call of the control plane took so long.
    func took(_ operation: Operation, _ duration: Duration) {
        let timer = made.withLock { made in
            if let timer = made.latencies[operation] { return timer }
            let timer = Timer(
                label: "hydrant_api_latency_seconds",
                dimensions: [("operation", operation.rawValue)],
                factory: factory
            )
            made.latencies[operation] = timer
            return timer
        }
        timer.record(duration: duration)
    }

    /// What each metric means.
    package static let help = [
        "hydrant_api_requests_total":
            "Calls of the API, by operation and error code (OK for none).",
        "hydrant_api_latency_seconds": "How long calls of the control plane take, by operation.",
    ]
}
