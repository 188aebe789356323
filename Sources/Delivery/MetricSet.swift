package import Metrics
internal import Synchronization

/// Metrics of one stream, made when they are first needed: a stream has few of all there are.
package final class MetricSet: Sendable {
    private struct Made {
        var counters: [String: Counter] = [:]
        var gauges: [String: Gauge] = [:]
        var timers: [String: Timer] = [:]
    }
    private let stream: String
    private let factory: any MetricsFactory
    private let made = Mutex(Made())

    /// A set that is empty.
    package init(stream: String, _ factory: any MetricsFactory) {
        self.stream = stream
        self.factory = factory
    }

    deinit {
        made.withLock { made in
            for counter in made.counters.values { counter.destroy() }
            for gauge in made.gauges.values { gauge.destroy() }
            for timer in made.timers.values { timer.destroy() }
        }
    }

    private func dimensions(_ label: (String, String)?) -> [(String, String)] {
        [("stream", stream)] + (label.map { [$0] } ?? [])
    }

    /// Adds to `hydrant_NAME_total`.
    package func count(_ name: String, by amount: Int, _ label: (String, String)? = nil) {
        let counter = made.withLock { made in
            let key = label.map { "\(name) \($0.1)" } ?? name
            if let counter = made.counters[key] { return counter }
            let counter = Counter(
                label: "hydrant_\(name)_total",
                dimensions: dimensions(label),
                factory: factory
            )
            made.counters[key] = counter
            return counter
        }
        counter.increment(by: amount)
    }

    /// Sets `hydrant_NAME`.
    package func gauge(_ name: String, _ value: Double, _ label: (String, String)) {
        let gauge = made.withLock { made in
            let key = "\(name) \(label.1)"
            if let gauge = made.gauges[key] { return gauge }
            let gauge = Gauge(
                label: "hydrant_\(name)",
                dimensions: dimensions(label),
                factory: factory
            )
            made.gauges[key] = gauge
            return gauge
        }
        gauge.record(value)
    }

    /// Records a time in `hydrant_NAME_seconds`.
    package func measure(_ name: String, _ duration: Duration) {
        let timer = made.withLock { made in
            if let timer = made.timers[name] { return timer }
            let timer = Timer(
                label: "hydrant_\(name)_seconds",
                dimensions: dimensions(nil),
                factory: factory
            )
            made.timers[name] = timer
            return timer
        }
        timer.record(duration: duration)
    }
}
