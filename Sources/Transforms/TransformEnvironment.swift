internal import Delivery
package import Metrics
internal import Platform
internal import Records
internal import Synchronization

/// What the transforms of all streams of a server share.
package final class TransformEnvironment: Sendable {
    /// Runs programs; none are accepted without it.
    package let host: TransformHost?
    /// Bounds the batches that are being transformed, all streams together.
    let places: Semaphore
    /// For reading, unpacking and encoding what is transformed.
    let threads = WorkerThreads(count: 2)

    /// Transforms, `maximumBatches` at one time.
    package init(
        host: TransformHost? = nil,
        maximumBatches: Int = Limits.defaultMaximumTransformBatches
    ) {
        self.host = host
        places = Semaphore(maximumBatches)
    }

    /// Waits for what is under way on the threads, and ends them.
    package func close() { threads.close() }
}

/// What is counted of a stream's transforms, whatever program they run; the names are CloudWatch's
/// (developer guide, "Monitor with CloudWatch metrics") as Prometheus spells them.
package final class TransformMetrics: Sendable {
    private let set: MetricSet
    private let hasProcesses = Atomic(false)

    /// Nothing is counted yet.
    package init(stream: String, _ factory: any MetricsFactory) {
        set = MetricSet(stream: stream, factory)
    }

    /// A transform was invoked, and answered what can be read, or not.
    func invoked(_ duration: Duration, isSuccess: Bool) {
        set.count("execute_processing_requests", by: 1)
        set.count("execute_processing_success", by: isSuccess ? 1 : 0)
        set.measure("execute_processing_duration", duration)
    }

    /// A transform's results are durable: bytes are those of the records before it.
    func processed(ok: Int, okBytes: Int) {
        set.count("succeed_processing_records", by: ok)
        set.count("succeed_processing_bytes", by: okBytes)
    }

    /// Records go no further, as a transform said, or because they held no message.
    func dropped(_ records: Int) { set.count("dropped_records", by: records) }

    /// A process is started.
    func processStarts() { set.count("transform_process_starts", by: 1) }

    /// How its processes are; nil where it has no program, which is told once it had one.
    func processes(_ processes: TransformPool.Processes?) {
        if processes != nil { hasProcesses.store(true, ordering: .relaxed) }
        guard hasProcesses.load(ordering: .relaxed) else { return }
        let (busy, idle) = (processes?.busy ?? 0, processes?.idle ?? 0)
        set.gauge("transform_processes", Double(busy), ("state", "busy"))
        set.gauge("transform_processes", Double(idle), ("state", "idle"))
    }

    /// There is no program any more.
    package func processesAreGone() { processes(nil) }

    /// What each metric means, by its name.
    package static let help = [
        "hydrant_execute_processing_requests_total": "Invocations of a transform.",
        "hydrant_execute_processing_success_total": "Those that gave what can be read.",
        "hydrant_execute_processing_duration_seconds": "How long an invocation takes.",
        "hydrant_succeed_processing_records_total": "Records with the result Ok.",
        "hydrant_succeed_processing_bytes_total": "Bytes of those before their transform.",
        "hydrant_dropped_records_total":
            "Records with the result Dropped, and CloudWatch Logs' control messages.",
        "hydrant_transform_processes": "Processes of a stream's transform, busy or idle.",
        "hydrant_transform_process_starts_total": "Processes that were started.",
    ]
}
