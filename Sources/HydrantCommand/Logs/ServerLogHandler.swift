internal import Foundation
internal import Logging
internal import Metrics
internal import Records

/// Log lines on standard error, as text or as JSON objects; of what repeats itself, a few.
struct ServerLogHandler: LogHandler {
    /// What the handlers of all subsystems share.
    final class Shared: Sendable {
        let format: LoggingOptions.LogFormat
        let repeats = LogRepeats()
        private let counters: [Logger.Level: Counter]

        fileprivate let time: any TimeSource

        init(
            format: LoggingOptions.LogFormat,
            metrics: any MetricsFactory,
            time: any TimeSource
        ) {
            self.format = format
            self.time = time
            counters = Dictionary(
                uniqueKeysWithValues: Logger.Level.allCases.map { level in
                    let counter = Counter(
                        label: "hydrant_log_lines_total",
                        dimensions: [("level", level.rawValue)],
                        factory: metrics
                    )
                    return (level, counter)
                }
            )
        }

        fileprivate func count(_ level: Logger.Level) { counters[level]?.increment() }

        /// Says what was left out, as far as its time is over, or all of it.
        func sayLeftOut(all: Bool = false) {
            for left in repeats.takeLeftOut(now: time.instant(), all: all) { write(left) }
        }

        fileprivate func write(_ left: LogRepeats.LeftOut) {
            write(
                level: left.level,
                label: left.label,
                message: "\(left.count) more like this were left out: \(left.message)",
                metadata: left.stream.map { ["stream": $0] } ?? [:]
            )
        }

        fileprivate func write(
            level: Logger.Level,
            label: String,
            message: String,
            metadata: [String: String]
        ) {
            let time = Date().formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
            switch format {
            case .text:
                let facts = metadata.sorted { $0.key < $1.key }
                    .map { " \($0.key)=\(LogText.value($0.value))" }.joined()
                StandardStreams.complain(
                    "\(time) \(level) \(label): \(LogText.line(message))\(facts)\n"
                )
            case .json:
                var line = metadata
                line["time"] = time
                line["level"] = level.rawValue
                line["logger"] = label
                line["message"] = message
                // Texts always encode.
                guard let text = try? Document.line(line) else { return }
                StandardStreams.complain(text + "\n")
            }
        }
    }

    var logLevel = Logger.Level.info
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    private let label: String
    private let shared: Shared

    /// Facts that stand for one thing alone.
    private static let names: Set = ["path", "manifest"]

    init(label: String, level: Logger.Level, provider: Logger.MetadataProvider?, _ shared: Shared) {
        self.label = label
        logLevel = level
        metadataProvider = provider
        self.shared = shared
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        shared.count(event.level)
        let facts = metadata.merging(metadataProvider?.get() ?? [:]) { _, new in new }
            .merging(event.metadata ?? [:]) { _, new in new }
            .mapValues { "\($0)" }
        let message = event.message.description
        // What names something that is kept for somebody is said each time.
        let isOfItsOwn = event.level >= .error && facts.keys.contains { Self.names.contains($0) }
        if event.level >= .warning, !isOfItsOwn {
            let (isSaid, left) = shared.repeats.admit(
                LogRepeats.Line(
                    level: event.level,
                    label: label,
                    message: message,
                    stream: facts["stream"]
                ),
                now: shared.time.instant()
            )
            for left in left { shared.write(left) }
            guard isSaid else { return }
        }
        shared.write(level: event.level, label: label, message: message, metadata: facts)
    }
}

/// Text of others in a line of ours.
enum LogText {
    /// A text without what would begin another line or speak to a terminal.
    static func line(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator:
                result += "\\u{" + String(scalar.value, radix: 16) + "}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// A value: in quotes where it could be taken for several.
    static func value(_ text: String) -> String {
        let line = line(text)
        let isPlain =
            !line.isEmpty
            && !line.unicodeScalars.contains { $0 == " " || $0 == "\"" || $0 == "=" }
        guard !isPlain else { return line }
        // By code points: a quote that a mark combines with is a quote to whoever reads bytes.
        var quoted = "\""
        for scalar in line.unicodeScalars {
            if scalar == "\"" || scalar == "\\" { quoted.unicodeScalars.append("\\") }
            quoted.unicodeScalars.append(scalar)
        }
        quoted.unicodeScalars.append("\"")
        return quoted
    }
}
