internal import ArgumentParser
internal import Client
internal import Destinations
internal import Foundation
internal import JSON
internal import Records

/// `hydrant stats`.
struct Stats: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows what came into each stream, what went out, and what waits.",
        discussion: """
            Counts are of GET /metrics, and begin anew with the server. IN: records that were put. OUT: \
            delivered. FAILED: in the bucket for failed records. DROPPED: a transform wanted them \
            gone. SET ASIDE: on the server's disk, since nothing else took them. WAIT: put, and not \
            delivered yet; OLDEST: for how long. STATE: idle, waiting, or paused while neither the \
            destination nor the bucket for failed records takes anything.

            \(ClientOptions.environment)
            """
    )

    @Argument(
        help: "The stream's name; all of them without.",
        completion: ClientOptions.streamNames
    )
    var stream: String?

    @Flag(help: "Print JSON.")
    var json = false

    @Flag(help: "Show it again every two seconds, until it is interrupted.")
    var watch = false

    @OptionGroup
    var client: ClientOptions

    func run() async throws {
        try await client.withClient { client in
            while true {
                let text = try await client.page("/metrics")
                guard text.contains("# TYPE hydrant_") else {
                    throw SettingsError(
                        description: "what answers there is no hydrant server: its /metrics has "
                            + "nothing of one"
                    )
                }
                let metrics = MetricsPage(text)
                var streams = metrics.streams
                if let stream {
                    guard let one = streams[stream] else {
                        throw SettingsError(
                            description: "there is no stream \(stream) at this server; "
                                + "`hydrant streams list` shows those that there are"
                        )
                    }
                    streams = [stream: one]
                }
                try show(streams)
                guard watch else { return }
                try await client.time.sleep(for: .seconds(2))
            }
        }
    }

    private func show(_ streams: [String: StreamStats]) throws {
        let sorted = streams.sorted { $0.key < $1.key }
        if json {
            let value = JSONValue.object(streams.mapValues(\.json))
            guard watch else { return try Document.write(value) }
            return try StandardStreams.print(try Document.line(value))
        }
        guard !sorted.isEmpty || watch else {
            return try StandardStreams.print("no streams yet: `hydrant streams create` makes one")
        }
        var rows = [
            ["STREAM", "IN", "OUT", "FAILED", "DROPPED", "SET ASIDE", "WAIT", "OLDEST", "STATE"]
        ]
        rows += sorted.map { [$0.key] + $0.value.cells }
        if watch, isatty(STDOUT_FILENO) == 1 {
            try StandardStreams.output(Array("\u{1b}[H\u{1b}[2J".utf8))
        }
        try StandardStreams.print(Self.table(rows))
    }

    /// Columns, the first to the left and the last as well, numbers to the right.
    private static func table(_ rows: [[String]]) -> String {
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            row.enumerated().map { column, cell in
                let space = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 || column == row.count - 1 ? cell + space : space + cell
            }.joined(separator: "  ").trimmingCharacters(in: .whitespaces)
        }.joined(separator: "\n")
    }
}

/// What is told of one stream.
struct StreamStats {
    /// Sums over pipelines and labels, by the metrics' names without `hydrant_`.
    fileprivate(set) var sums: [String: Double] = [:]
    /// The highest over pipelines.
    fileprivate(set) var highest: [String: Double] = [:]
    /// By name and pipeline.
    fileprivate(set) var pipelines: [String: Double] = [:]

    /// What the names of a place's metrics begin with; several kinds may share it.
    private static let places = Set(DestinationType.all.map(\.metricsName))
    private static let buckets = Set(metricsNames { if case .objects = $0 { true } else { false } })
    private static let warehouses = metricsNames {
        if case .warehouse = $0 { true } else { false }
    }

    private static func metricsNames(where isRight: (DestinationType.Delivery) -> Bool) -> [String]
    { DestinationType.all.filter { isRight($0.delivery) }.map(\.metricsName) }

    private subscript(name: String) -> Int { Self.whole(sums[name]) }

    private static func whole(_ value: Double?) -> Int {
        value.flatMap { Int(exactly: $0.rounded()) } ?? 0
    }

    /// Records that are where they should be; objects of a warehouse count when it has loaded them.
    private var delivered: Int {
        let isWarehouse = Self.warehouses.contains { sums["\($0)_requests_total"] != nil }
        return (isWarehouse ? Self.places.subtracting(Self.buckets) : Self.places)
            .reduce(0) { $0 + self["\($1)_records_total"] }
    }

    private var state: String {
        if (highest["delivery_paused"] ?? 0) > 0 { return "paused" }
        return waiting > 0 ? "waiting" : "idle"
    }

    /// What is not transformed yet and what is, one after the other; a backup goes beside them.
    private var waiting: Int { waiting("log_backlog_records") }
    private var oldest: Int { Self.whole(highest["data_freshness_seconds"]) }

    private func waiting(_ name: String) -> Int {
        let way = Self.whole(pipelines["\(name) source"]) + Self.whole(pipelines["\(name) outcome"])
        return max(way, Self.whole(pipelines["\(name) backup"]))
    }

    /// Records in objects of failed ones.
    var failed: Int { self["failed_records_total"] }
    /// Records that a transform dropped.
    var dropped: Int { self["dropped_records_total"] }

    var cells: [String] {
        [
            "\(self["incoming_records_total"])", "\(delivered)",
            "\(self["failed_records_total"])", "\(self["dropped_records_total"])",
            "\(self["set_aside_records_total"])", "\(waiting)", "\(oldest) s", state,
        ]
    }

    var json: JSONValue {
        let numbers = [
            "incomingRecords": self["incoming_records_total"],
            "incomingBytes": self["incoming_bytes_total"],
            "throttledRecords": self["throttled_records_total"],
            "deliveredRecords": delivered,
            "backedUpRecords": self["backup_to_s3_records_total"],
            "failedRecords": self["failed_records_total"],
            "droppedRecords": self["dropped_records_total"],
            "setAsideRecords": self["set_aside_records_total"],
            "deliveryRetries": self["delivery_retries_total"],
            "copyFailures": self["copy_failures_total"],
            "waitingRecords": waiting,
            "waitingBytes": waiting("log_backlog_bytes"),
            "buffersInFlight": self["buffers_in_flight"],
            "oldestSeconds": oldest,
        ]
        var members = numbers.mapValues { JSONValue.integer($0) }
        members["state"] = .string(state)
        return .object(members)
    }
}

/// A page of metrics in Prometheus' text format, as this server writes it.
struct MetricsPage {
    private(set) var streams: [String: StreamStats] = [:]

    init(_ text: String) {
        for line in text.split(separator: "\n") where line.hasPrefix("hydrant_") {
            guard let brace = line.firstIndex(of: "{"), let end = line.lastIndex(of: "}"),
                let value = Double(line[line.index(after: end)...].dropFirst()),
                // A stream's name has no character that would be escaped.
                let label = line[brace..<end].firstMatch(of: /[{,]stream="([^"]*)"/)
            else { continue }
            let name = String(line[..<brace].dropFirst("hydrant_".count))
            var stats = streams[String(label.1)] ?? StreamStats()
            stats.sums[name, default: 0] += value
            stats.highest[name] = max(stats.highest[name] ?? value, value)
            if let pipeline = line[brace..<end].firstMatch(of: /[{,]pipeline="([^"]*)"/) {
                stats.pipelines["\(name) \(pipeline.1)"] = value
            }
            streams[String(label.1)] = stats
        }
    }
}
