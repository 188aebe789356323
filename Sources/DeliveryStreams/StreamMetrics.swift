internal import Delivery
internal import Metrics
internal import Records
internal import Synchronization
internal import Transforms

/// What is counted for one stream; the names are CloudWatch's (developer guide, "Monitor with CloudWatch
/// metrics") as Prometheus spells them.
final class StreamMetrics: Sendable {
    private let incomingRecords: Counter
    private let incomingBytes: Counter
    private let incomingPutRequests: Counter
    private let throttledRecords: Counter
    private let quarantine: QuarantineGauge
    private let stream: String
    private let factory: any MetricsFactory
    /// Made when they are first needed: most producers use one of the two.
    private let single = Mutex<Puts?>(nil)
    private let batches = Mutex<Puts?>(nil)

    /// What is counted of one operation.
    private struct Puts {
        var requests: Counter
        var bytes: Counter
        var records: Counter?
        var latency: Timer
    }

    init(stream: String, _ factory: any MetricsFactory) {
        func counter(_ name: String) -> Counter {
            Counter(label: name, dimensions: [("stream", stream)], factory: factory)
        }
        incomingRecords = counter("hydrant_incoming_records_total")
        incomingBytes = counter("hydrant_incoming_bytes_total")
        incomingPutRequests = counter("hydrant_incoming_put_requests_total")
        throttledRecords = counter("hydrant_throttled_records_total")
        quarantine = QuarantineGauge(stream, 0, factory)
        self.stream = stream
        self.factory = factory
    }

    deinit {
        for counter in [incomingRecords, incomingBytes, incomingPutRequests, throttledRecords] {
            counter.destroy()
        }
        for puts in [single.withLock({ $0 }), batches.withLock({ $0 })].compactMap(\.self) {
            for counter in [puts.requests, puts.bytes, puts.records] { counter?.destroy() }
            puts.latency.destroy()
        }
    }

    private func puts(_ operation: PutOperation) -> Puts {
        switch operation {
        case .putRecord: made(single, "put_record", hasRecords: false)
        case .putRecordBatch: made(batches, "put_record_batch", hasRecords: true)
        }
    }

    private func made(
        _ puts: borrowing Mutex<Puts?>,
        _ name: String,
        hasRecords: Bool
    ) -> Puts {
        puts.withLock { puts in
            if let puts { return puts }
            let dimensions = [("stream", stream)]
            func counter(_ what: String) -> Counter {
                Counter(
                    label: "hydrant_\(name)_\(what)_total",
                    dimensions: dimensions,
                    factory: factory
                )
            }
            let made = Puts(
                requests: counter("requests"),
                bytes: counter("bytes"),
                records: hasRecords ? counter("records") : nil,
                latency: Timer(
                    label: "hydrant_\(name)_latency_seconds",
                    dimensions: dimensions,
                    factory: factory
                )
            )
            puts = made
            return made
        }
    }

    /// A put came, whatever becomes of it.
    func began(_ operation: PutOperation) { puts(operation).requests.increment() }

    /// A put is answered.
    func ended(_ operation: PutOperation, _ latency: Duration) {
        puts(operation).latency.record(duration: latency)
    }

    /// A put is on disk.
    func accepted(_ batch: RecordBatch, _ operation: PutOperation) {
        incomingPutRequests.increment()
        incomingRecords.increment(by: batch.recordCount)
        incomingBytes.increment(by: batch.dataBytes)
        let puts = puts(operation)
        puts.bytes.increment(by: batch.dataBytes)
        puts.records?.increment(by: batch.recordCount)
    }

    /// So many records were told to slow down.
    func throttled(_ records: Int) { throttledRecords.increment(by: records) }

    /// What each metric means.
    static let help = [
        "hydrant_incoming_records_total": "Records that were put and are on disk.",
        "hydrant_stream_quarantined": "1 for a stream that cannot be opened; the others run.",
        "hydrant_incoming_bytes_total": "Bytes of those records.",
        "hydrant_incoming_put_requests_total": "Puts that were answered with records on disk.",
        "hydrant_throttled_records_total": "Records that were told to slow down.",
        "hydrant_put_record_requests_total": "Calls of PutRecord, answered with success or not.",
        "hydrant_put_record_bytes_total": "Bytes that are on disk by PutRecord.",
        "hydrant_put_record_latency_seconds": "From a PutRecord that was read to its answer.",
        "hydrant_put_record_batch_requests_total":
            "Calls of PutRecordBatch, answered with success or not.",
        "hydrant_put_record_batch_records_total": "Records that are on disk by PutRecordBatch.",
        "hydrant_put_record_batch_bytes_total": "Bytes that are on disk by PutRecordBatch.",
        "hydrant_put_record_batch_latency_seconds":
            "From a PutRecordBatch that was read to its answer.",
        "hydrant_delivery_paused":
            "1 while neither the destination nor the bucket for failed records takes anything.",
    ]
}

/// What the metrics of this module mean, by their names.
package enum DeliveryMetrics {
    /// The texts.
    package static var help: [String: String] {
        StreamMetrics.help
            .merging(PipelineMetrics.help) { first, _ in first }
            .merging(TransformMetrics.help) { first, _ in first }
    }
}
