internal import Destinations
internal import Metrics
internal import Records
internal import Synchronization
internal import TransformHost

/// What is counted on one way out of a stream; the names are CloudWatch's (developer guide, "Monitor
/// with CloudWatch metrics") as Prometheus spells them.
final class PipelineMetrics: Sendable {
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

    private struct Made {
        var counters: [String: Counter] = [:]
        var gauges: [String: Gauge] = [:]
        var timers: [String: Timer] = [:]
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
            for timer in made.timers.values { timer.destroy() }
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

    private func set(_ name: String, _ value: Double, _ label: (String, String)? = nil) {
        let gauge = made.withLock { made in
            let key = label.map { "\(name) \($0.1)" } ?? name
            if let gauge = made.gauges[key] { return gauge }
            let gauge = Gauge(
                label: "hydrant_\(name)",
                dimensions: [("stream", stream), label ?? ("pipeline", role.rawValue)],
                factory: factory
            )
            made.gauges[key] = gauge
            return gauge
        }
        gauge.record(value)
    }

    private func measure(_ name: String, _ duration: Duration) {
        let timer = made.withLock { made in
            if let timer = made.timers[name] { return timer }
            let timer = Timer(
                label: "hydrant_\(name)_seconds",
                dimensions: [("stream", stream)],
                factory: factory
            )
            made.timers[name] = timer
            return timer
        }
        timer.record(duration: duration)
    }

    // MARK: What happens

    /// Begins to count what should be noticed when it happens for the first time.
    func begin(failures: [ErrorOutputType]) {
        count("set_aside_records", by: 0)
        retries(0)
        for type in failures { failed(type, records: 0) }
    }

    /// Requests have answers, or none; they brought so many records.
    func requested(
        _ place: Place,
        records: Int,
        bytes: UInt64,
        requests: Int = 1,
        split: Int = 0,
        isSuccess: Bool
    ) {
        count("\(place.name)_requests", by: requests)
        count("\(place.name)_success", by: isSuccess ? requests - split : 0)
        count("\(place.name)_records", by: records)
        count("\(place.name)_bytes", by: Int(bytes))
    }

    /// Failed records are in the bucket for them.
    func failed(_ type: ErrorOutputType, records: Int) {
        count("failed_records", by: records, ("error_output_type", type.rawValue))
    }

    /// Another attempt follows.
    func retries(_ number: Int = 1) {
        count("delivery_retries", by: number, ("pipeline", role.rawValue))
    }

    /// Records are on this server's disk for somebody to look after.
    func setAside(records: Int) { count("set_aside_records", by: records) }

    /// A COPY failed.
    func copyFailed(_ code: String) { count("copy_failures", by: 1, ("code", code)) }

    /// A transform was invoked, and answered what can be read, or not.
    func invoked(_ duration: Duration, isSuccess: Bool) {
        count("execute_processing_requests", by: 1)
        count("execute_processing_success", by: isSuccess ? 1 : 0)
        measure("execute_processing_duration", duration)
    }

    /// A transform's results are durable: bytes are those of the records before it.
    func processed(ok: Int, okBytes: Int) {
        count("succeed_processing_records", by: ok)
        count("succeed_processing_bytes", by: okBytes)
    }

    /// Records go no further, as a transform said, or because they held no message.
    func dropped(_ records: Int) { count("dropped_records", by: records) }

    /// An indexer has data: so long after it was sent.
    func acknowledged(_ place: Place, after duration: Duration) {
        measure("\(place.name)_data_ack_latency", duration)
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
        /// Of the pipeline's transform, where it has a program.
        var processes: TransformPool.Processes?
    }

    /// Tells how things are.
    func update(_ state: State, now: Timestamp) {
        set("log_backlog_bytes", Double(state.bytes))
        set("log_backlog_records", Double(state.records))
        set("buffers_in_flight", Double(state.inFlight))
        let age = state.oldest.map { max(.zero, now - $0) } ?? .zero
        set("data_freshness_seconds", Double(age.components.seconds))
        set("buffer_fill_bytes", Double(state.waiting))
        set("buffer_fill_ratio", Double(state.waiting) / Double(max(1, state.bufferBytes)))
        let wasThere = made.withLock { $0.gauges["transform_processes busy"] != nil }
        if let processes = state.processes ?? (wasThere ? .init(busy: 0, idle: 0) : nil) {
            set("transform_processes", Double(processes.busy), ("state", "busy"))
            set("transform_processes", Double(processes.idle), ("state", "idle"))
        }
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
            "hydrant_execute_processing_requests_total": "Invocations of a transform.",
            "hydrant_execute_processing_success_total": "Those that gave what can be read.",
            "hydrant_execute_processing_duration_seconds": "How long an invocation takes.",
            "hydrant_succeed_processing_records_total": "Records with the result Ok.",
            "hydrant_succeed_processing_bytes_total": "Bytes of those before their transform.",
            "hydrant_dropped_records_total":
                "Records with the result Dropped, and CloudWatch Logs' control messages.",
            "hydrant_delivery_to_splunk_data_ack_latency_seconds":
                "From data that was sent to its acknowledgement by the indexer.",
            "hydrant_buffer_fill_bytes": "Bytes in the log that are in no sealed buffer yet.",
            "hydrant_buffer_fill_ratio": "Those by the bytes at which a buffer is sealed.",
            "hydrant_transform_processes": "Processes of a stream's transform, busy or idle.",
            "hydrant_transform_process_starts_total": "Processes that were started.",
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

extension StreamPipeline {
    /// When the oldest record arrived that the pipeline has to deliver and is not done with.
    var oldestPending: Timestamp? {
        guard settings.withLock({ !$0.isParked }),
            log.tail.position > log.checkpoint(of: role.reader).position
        else { return nil }
        return machine.withLock { $0.oldestUnsettled }
    }

    /// Seconds that a buffer waits at the most.
    var intervalSeconds: Int {
        settings.withLock { $0.isParked ? 0 : $0.bounds.intervalSeconds }
    }

    /// Tells how things are now.
    func updateMetrics() {
        let checkpoint = log.checkpoint(of: role.reader)
        let tail = log.tail
        let (inFlight, oldest, start, bounds) = machine.withLock {
            ($0.unsettled, $0.oldestUnsettled, $0.start, $0.bounds)
        }
        let waiting = max(tail.bytes, start.bytes) - start.bytes
        // Counters may jump over damage.
        metrics.update(
            PipelineMetrics.State(
                bytes: max(tail.bytes, checkpoint.bytes) - checkpoint.bytes,
                records: records(from: checkpoint, to: tail),
                inFlight: inFlight,
                oldest: tail.position > checkpoint.position ? oldest : nil,
                waiting: waiting,
                bufferBytes: bounds.bytes(waiting: waiting),
                processes: settings.withLock { $0.processes }
            ),
            now: shared.options.time.now()
        )
    }
}
