internal import Destinations
internal import Metrics
internal import Records

/// What is counted on one way out of a stream; the names are CloudWatch's (developer guide, "Monitor
/// with CloudWatch metrics") as Prometheus spells them.
package final class PipelineMetrics: Sendable {
    /// Where something is delivered to, as CloudWatch's names have it.
    struct Place: Hashable {
        /// What the names of its metrics begin with.
        let name: String

        private init(name: String) { self.name = name }

        /// Where a kind of destination is counted.
        init(_ kind: DestinationKind) { name = DestinationType.of(kind).metricsName }

        static let s3 = Place(.s3)
        static let redshift = Place(.redshift)
        static let backup = Place(name: "backup_to_s3")

        /// All there are.
        static let all = Set(DestinationType.all.map { Place($0.kind) } + [.backup])
    }

    private let role: PipelineRole
    private let set: MetricSet

    init(stream: String, role: PipelineRole, _ factory: any MetricsFactory) {
        self.role = role
        set = MetricSet(stream: stream, factory)
    }

    private var pipeline: (String, String) { ("pipeline", role.rawValue) }

    // MARK: What happens

    /// Begins to count what should be noticed when it happens for the first time.
    func begin(failures: [ErrorOutputType]) {
        set.count("set_aside_records", by: 0)
        retries(0)
        for type in failures { failed(type, records: 0) }
    }

    /// What requests came to.
    struct Requests {
        /// Records that they brought, and bytes of those.
        var records = 0
        var bytes: UInt64 = 0
        var requests = 1
        /// How many of them were refused as too large, and made anew in pieces.
        var split = 0
        var isSuccess: Bool
    }

    /// Requests have answers, or none.
    func requested(_ place: Place, _ made: Requests) {
        set.count("\(place.name)_requests", by: made.requests)
        set.count("\(place.name)_success", by: made.isSuccess ? made.requests - made.split : 0)
        set.count("\(place.name)_records", by: made.records)
        set.count("\(place.name)_bytes", by: Int(made.bytes))
    }

    /// Failed records are in the bucket for them.
    func failed(_ type: ErrorOutputType, records: Int) {
        set.count("failed_records", by: records, ("error_output_type", type.rawValue))
    }

    /// Another attempt follows.
    func retries(_ number: Int = 1) {
        set.count("delivery_retries", by: number, pipeline)
    }

    /// Records are on this server's disk for somebody to look after.
    func setAside(records: Int) { set.count("set_aside_records", by: records) }

    /// A COPY failed.
    func copyFailed(_ code: String) { set.count("copy_failures", by: 1, ("code", code)) }

    /// An indexer has data: so long after it was sent.
    func acknowledged(_ place: Place, after duration: Duration) {
        set.measure("\(place.name)_data_ack_latency", duration)
    }

    // MARK: How things are

    /// How things are now.
    struct State {
        var bytes: UInt64
        var records: UInt64
        var inFlight: Int
        var oldest: Timestamp?
        /// Bytes that are in no sealed buffer yet, and those at which one is sealed.
        var waiting: UInt64
        var bufferBytes: UInt64
    }

    /// Tells how things are.
    func update(_ state: State, now: Timestamp) {
        set.gauge("log_backlog_bytes", Double(state.bytes), pipeline)
        set.gauge("log_backlog_records", Double(state.records), pipeline)
        set.gauge("buffers_in_flight", Double(state.inFlight), pipeline)
        let age = state.oldest.map { max(.zero, now - $0) } ?? .zero
        set.gauge("data_freshness_seconds", Double(age.components.seconds), pipeline)
        set.gauge("buffer_fill_bytes", Double(state.waiting), pipeline)
        set.gauge(
            "buffer_fill_ratio",
            Double(state.waiting) / Double(max(1, state.bufferBytes)),
            pipeline
        )
    }

    /// What each metric means, by its name.
    package static let help: [String: String] = {
        var help = [
            "hydrant_failed_records_total":
                "Records in objects of failed records, by error output type.",
            "hydrant_delivery_retries_total": "Attempts that failed and are followed by another.",
            "hydrant_set_aside_records_total": "Records that were set aside on this server's disk.",
            "hydrant_copy_failures_total": "COPYs that failed, by Firehose's code.",
            "hydrant_log_backlog_bytes": "Bytes in the log that the pipeline is not done with.",
            "hydrant_log_backlog_records": "Records in the log that the pipeline is not done with.",
            "hydrant_delivery_to_splunk_data_ack_latency_seconds":
                "From data that was sent to its acknowledgement by the indexer.",
            "hydrant_buffer_fill_bytes": "Bytes in the log that are in no sealed buffer yet.",
            "hydrant_buffer_fill_ratio": "Those by the bytes at which a buffer is sealed.",
            "hydrant_buffers_in_flight": "Buffers that are sealed and not settled.",
            "hydrant_data_freshness_seconds":
                "Age of the oldest record that the pipeline is not done with; 0 for none.",
        ]
        for place in Place.all {
            let name = "hydrant_\(place.name)"
            let words = place.name.replacing("_", with: " ")
            help["\(name)_requests_total"] = "Requests, \(words)."
            help["\(name)_success_total"] = "Requests that succeeded, \(words)."
            help["\(name)_records_total"] = "Records, \(words)."
            help["\(name)_bytes_total"] = "Bytes of records, \(words)."
        }
        return help
    }()
}
