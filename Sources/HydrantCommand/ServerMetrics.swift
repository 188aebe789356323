internal import Delivery
internal import DeliveryStreams
internal import FirehoseAPI
internal import Foundation
internal import HTTPServer
internal import Metrics
internal import Observability
internal import Platform
internal import Records
internal import Synchronization

/// What is measured of the process itself; names as in Prometheus' client libraries.
final class ServerMetrics: Sendable {
    private let cpu: FloatingPointCounter
    private let retriedReads: Counter
    private let countedReads = Mutex(0)
    /// CPU seconds that are counted already.
    private let counted = Mutex(0.0)
    private let memory: Gauge
    private let files: Gauge
    private let sync: Metrics.Timer

    /// All that this server's metrics mean.
    static let help = DeliveryMetrics.help.merging(FirehoseMetrics.help) { first, _ in first }
        .merging(HTTPServerMetrics.help) { first, _ in first }
        .merging(
            [
                "hydrant_build_info": "1, with the version as a label.",
                "hydrant_log_sync_seconds": "How long syncs of what was put take.",
                "hydrant_disk_retried_reads_total":
                    "Reads of the data folder that failed and went well when they were made again.",
                "hydrant_log_backlog_limit_bytes":
                    "Bytes of one stream's backlog at which its puts are told to slow down.",
                "hydrant_log_lines_total":
                    "Messages to the log by level, also those that are left out as repeats.",
                "process_start_time_seconds": "When the process started, in seconds since 1970.",
                "process_cpu_seconds_total": "CPU time of the process.",
                "process_resident_memory_bytes": "Memory of the process.",
                "process_open_fds": "Files and sockets that it has open.",
                "process_max_fds": "Files and sockets that it may have open (ulimit -n).",
            ]
        ) { first, _ in first }

    /// Measures for a registry; `maximumLogBytes` is the bound on one stream's backlog.
    init(_ registry: PrometheusRegistry, maximumLogBytes: UInt64, startedAt: Timestamp) {
        Gauge(label: "hydrant_log_backlog_limit_bytes", factory: registry)
            .record(Double(maximumLogBytes))
        cpu = FloatingPointCounter(label: "process_cpu_seconds_total", factory: registry)
        retriedReads = Counter(label: "hydrant_disk_retried_reads_total", factory: registry)
        retriedReads.increment(by: 0)
        memory = Gauge(label: "process_resident_memory_bytes", factory: registry)
        files = Gauge(label: "process_open_fds", factory: registry)
        sync = Metrics.Timer(label: "hydrant_log_sync_seconds", factory: registry)
        Gauge(label: "process_max_fds", factory: registry).record(Double(Descriptors.limit))
        Gauge(label: "process_start_time_seconds", factory: registry)
            .record(Double(startedAt.milliseconds) / 1000)
        Gauge(
            label: "hydrant_build_info",
            dimensions: [("version", Version.current)],
            factory: registry
        ).record(1)
    }

    /// A sync took so long.
    func synced(_ duration: Duration) { sync.record(duration: duration) }

    /// Looks at the process.
    func update() {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        let time = [usage.ru_utime, usage.ru_stime]
        let seconds = time.reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6 }
        counted.withLock { counted in
            cpu.increment(by: max(0, seconds - counted))
            counted = max(seconds, counted)
        }
        if let pages = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
            .split(separator: " ").dropFirst().first.flatMap({ Double($0) })
        {
            memory.record(pages * Double(getpagesize()))
        }
        let reads = File.retriedReads.load(ordering: .relaxed)
        countedReads.withLock { counted in
            retriedReads.increment(by: max(0, reads - counted))
            counted = max(reads, counted)
        }
        if let open = Descriptors.openCount { files.record(Double(open)) }
    }
}
