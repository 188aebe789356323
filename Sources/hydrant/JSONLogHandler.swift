internal import Foundation
internal import Logging

/// Log lines as JSON objects, one a line, on standard error.
struct JSONLogHandler: LogHandler {
    var logLevel = Logger.Level.info
    var metadata: Logger.Metadata = [:]
    private let label: String

    init(label: String) { self.label = label }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var line = metadata.merging(event.metadata ?? [:]) { _, new in new }
            .mapValues { "\($0)" }
        line["time"] = Date().ISO8601Format(
            .iso8601(timeZone: .gmt, includingFractionalSeconds: true)
        )
        line["level"] = event.level.rawValue
        line["logger"] = label
        line["message"] = event.message.description
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let bytes = try? encoder.encode(line) else { return }  // strings always encode
        StandardStreams.complain(String(decoding: bytes, as: UTF8.self) + "\n")
    }
}
