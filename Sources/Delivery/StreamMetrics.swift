internal import Metrics
internal import Records

/// What is counted for one stream; the names are CloudWatch's (developer guide, "Monitor with CloudWatch
/// metrics") as Prometheus spells them.
final class StreamMetrics: Sendable {
    private let incomingRecords: Counter
    private let incomingBytes: Counter
    private let incomingPutRequests: Counter
    private let throttledRecords: Counter

    init(stream: String, _ factory: any MetricsFactory) {
        func counter(_ name: String) -> Counter {
            Counter(label: name, dimensions: [("stream", stream)], factory: factory)
        }
        incomingRecords = counter("hydrant_incoming_records_total")
        incomingBytes = counter("hydrant_incoming_bytes_total")
        incomingPutRequests = counter("hydrant_incoming_put_requests_total")
        throttledRecords = counter("hydrant_throttled_records_total")
    }

    deinit {
        for counter in [incomingRecords, incomingBytes, incomingPutRequests, throttledRecords] {
            counter.destroy()
        }
    }

    /// A put is on disk.
    func accepted(_ batch: RecordBatch) {
        incomingPutRequests.increment()
        incomingRecords.increment(by: batch.recordCount)
        incomingBytes.increment(by: batch.dataBytes)
    }

    /// So many records were told to slow down.
    func throttled(_ records: Int) { throttledRecords.increment(by: records) }

    /// What each metric means.
    static let help = [
        "hydrant_incoming_records_total": "Records that were put and are on disk.",
        "hydrant_incoming_bytes_total": "Bytes of those records.",
        "hydrant_incoming_put_requests_total": "Puts that were answered with records on disk.",
        "hydrant_throttled_records_total": "Records that were told to slow down.",
        "hydrant_delivery_paused":
            "1 while neither the destination nor the bucket for failed records takes anything.",
    ]
}

/// What the metrics of this module mean, by their names.
package enum DeliveryMetrics {
    /// The texts.
    package static var help: [String: String] {
        StreamMetrics.help.merging(PipelineMetrics.help) { first, _ in first }
    }
}
