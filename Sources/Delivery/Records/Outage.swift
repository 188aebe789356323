internal import Logging
internal import Metrics
internal import Synchronization

/// Whether a stream's destination and the bucket for its failed records are both away: then delivery is
/// paused, since nothing could be done with a record.
final class Outage: Sendable {
    private struct State {
        var isDestinationAway = false
        /// The bucket for failed records, as it is configured now.
        var bucket: String?
        var awayBuckets: Set<String> = []
        var isPaused: Bool { isDestinationAway && bucket.map(awayBuckets.contains) == true }
    }
    private let state = Mutex(State())
    /// 1 while delivery is paused, else 0.
    private let gauge: Gauge

    init(stream: String, pipeline: String, _ factory: any MetricsFactory) {
        gauge = Gauge(
            label: "hydrant_delivery_paused",
            dimensions: [("stream", stream), ("pipeline", pipeline)],
            factory: factory
        )
        gauge.record(0)
    }

    deinit { gauge.destroy() }

    /// Whether a bucket took nothing when it was last tried.
    func isAway(_ bucket: String) -> Bool { state.withLock { $0.awayBuckets.contains(bucket) } }

    /// The bucket for failed records is another one now.
    func bucketIs(_ bucket: String?, _ logger: Logger) { change(logger) { $0.bucket = bucket } }

    /// The destination took or refused a record.
    func destinationAnswered(_ logger: Logger) { change(logger) { $0.isDestinationAway = false } }

    /// The destination did not take anything for as long as it is tried.
    func destinationFailed(_ logger: Logger) { change(logger) { $0.isDestinationAway = true } }

    /// The bucket took an object.
    func bucketAnswered(_ bucket: String, _ logger: Logger) {
        change(logger) { _ = $0.awayBuckets.remove(bucket) }
    }

    /// The bucket did not.
    func bucketFailed(_ bucket: String, _ logger: Logger) {
        change(logger) { _ = $0.awayBuckets.insert(bucket) }
    }

    private func change(_ logger: Logger, _ change: (inout State) -> Void) {
        let (before, after) = state.withLock { state in
            let before = state.isPaused
            change(&state)
            return (before, state.isPaused)
        }
        if before != after { gauge.record(after ? 1 : 0) }
        if !before, after {
            logger.error(
                """
                delivery is paused: neither the destination nor the bucket for failed records takes \
                anything
                """
            )
        } else if before, !after {
            logger.notice("delivery goes on")
        }
    }
}
