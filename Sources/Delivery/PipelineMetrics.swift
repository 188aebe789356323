internal import Destinations
internal import Metrics
internal import Records
internal import Synchronization

/// What is counted on one way out of a stream; the names are CloudWatch's (developer guide, "Monitor
/// with CloudWatch metrics") as Prometheus spells them.
final class PipelineMetrics: Sendable {
    /// Where something is delivered to, as CloudWatch's names have it.
    enum Place: String, CaseIterable {
        case s3 = "delivery_to_s3"
        case backup = "backup_to_s3"
        case openSearch = "delivery_to_amazon_open_search_service"
        case httpEndpoint = "delivery_to_http_endpoint"
        case splunk = "delivery_to_splunk"
        case redshift = "delivery_to_redshift"

        /// Where a kind of destination is counted.
        init(_ kind: DestinationKind) {
            switch kind {
            case .s3, .extendedS3: self = .s3
            case .redshift: self = .redshift
            case .elasticsearch, .openSearch: self = .openSearch
            case .splunk: self = .splunk
            case .httpEndpoint: self = .httpEndpoint
            }
        }
    }

    private struct Made {
        var counters: [String: Counter] = [:]
        var gauges: [String: Gauge] = [:]
    }
    private let stream: String
    private let role: StreamPipeline.Role
    private let factory: any MetricsFactory
    /// Made when they are first needed: a stream has few of all there are.
    private let made = Mutex(Made())

    init(stream: String, role: StreamPipeline.Role, _ factory: any MetricsFactory) {
        self.stream = stream
        self.role = role
        self.factory = factory
    }

    deinit {
        made.withLock { made in
            for counter in made.counters.values { counter.destroy() }
            for gauge in made.gauges.values { gauge.destroy() }
        }
    }

    private func count(_ name: String, by amount: Int, _ label: (String, String)? = nil) {
        let counter = made.withLock { made in
            let key = label.map { "\(name) \($0.1)" } ?? name
            if let counter = made.counters[key] { return counter }
            let counter = Counter(
                label: "hydrant_\(name)_total",
                dimensions: [("stream", stream)] + (label.map { [$0] } ?? []),
                factory: factory
            )
            made.counters[key] = counter
            return counter
        }
        counter.increment(by: amount)
    }

    private func set(_ name: String, _ value: Double) {
        let gauge = made.withLock { made in
            if let gauge = made.gauges[name] { return gauge }
            let gauge = Gauge(
                label: "hydrant_\(name)",
                dimensions: [("stream", stream), ("pipeline", role.rawValue)],
                factory: factory
            )
            made.gauges[name] = gauge
            return gauge
        }
        gauge.record(value)
    }

    // MARK: What happens

    /// A request has an answer, or none; it brought so many records.
    func requested(_ place: Place, records: Int, bytes: UInt64, isSuccess: Bool) {
        count("\(place.rawValue)_requests", by: 1)
        count("\(place.rawValue)_success", by: isSuccess ? 1 : 0)
        count("\(place.rawValue)_records", by: records)
        count("\(place.rawValue)_bytes", by: Int(bytes))
    }

    /// Failed records are in the bucket for them.
    func failed(_ type: ErrorOutputType, records: Int) {
        count("failed_records", by: records, ("error_output_type", type.rawValue))
    }

    /// Another attempt follows.
    func retries() { count("delivery_retries", by: 1, ("pipeline", role.rawValue)) }

    /// Records are on this server's disk for somebody to look after.
    func setAside(records: Int) { count("set_aside_records", by: records) }

    /// A COPY failed.
    func copyFailed(_ code: String) { count("copy_failures", by: 1, ("code", code)) }

    // MARK: How things are

    /// How things are now.
    struct State {
        var bytes: UInt64
        var records: UInt64
        var inFlight: Int
        var oldest: Timestamp?
    }

    /// Tells how things are.
    func update(_ state: State, now: Timestamp) {
        set("log_backlog_bytes", Double(state.bytes))
        set("log_backlog_records", Double(state.records))
        set("buffers_in_flight", Double(state.inFlight))
        let age = state.oldest.map { max(.zero, now - $0) } ?? .zero
        set("data_freshness_seconds", Double(age.components.seconds))
    }

    /// What each metric means.
    static let help: [String: String] = {
        var help = [
            "hydrant_failed_records_total":
                "Records in objects of failed records, by error output type.",
            "hydrant_delivery_retries_total": "Attempts that failed and are followed by another.",
            "hydrant_set_aside_records_total": "Records that were set aside on this server's disk.",
            "hydrant_copy_failures_total": "COPYs that failed, by Firehose's code.",
            "hydrant_log_backlog_bytes": "Bytes in the log that the pipeline is not done with.",
            "hydrant_log_backlog_records": "Records in the log that the pipeline is not done with.",
            "hydrant_buffers_in_flight": "Buffers that are sealed and not settled.",
            "hydrant_data_freshness_seconds":
                "Age of the oldest record that the pipeline is not done with; 0 for none.",
        ]
        for place in Place.allCases {
            let name = "hydrant_\(place.rawValue)"
            let words = place.rawValue.replacing("_", with: " ")
            help["\(name)_requests_total"] = "Requests, \(words)."
            help["\(name)_success_total"] = "Requests that succeeded, \(words)."
            help["\(name)_records_total"] = "Records, \(words)."
            help["\(name)_bytes_total"] = "Bytes of records, \(words)."
        }
        return help
    }()
}

extension StreamPipeline {
    /// Tells how things are now.
    func updateMetrics() {
        let checkpoint = log.checkpoint(of: role.reader)
        let tail = log.tail
        let (inFlight, oldest) = machine.withLock { ($0.unsettled, $0.oldestUnsettled) }
        // Counters may jump over damage.
        metrics.update(
            PipelineMetrics.State(
                bytes: max(tail.bytes, checkpoint.bytes) - checkpoint.bytes,
                records: max(tail.records, checkpoint.records) - checkpoint.records,
                inFlight: inFlight,
                oldest: tail.position > checkpoint.position ? oldest : nil
            ),
            now: shared.options.time.now()
        )
    }
}
