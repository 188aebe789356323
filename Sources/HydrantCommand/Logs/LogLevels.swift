internal import ArgumentParser
internal import Delivery
internal import Logging
internal import Metrics
internal import Records

/// The parts of the server that log under names of their own.
enum Subsystem: String, CaseIterable {
    case server
    case ingest
    case log
    case delivery
    case transforms

    var label: String { self == .server ? "hydrant" : "hydrant.\(rawValue)" }
}

/// `info`, or `info,ingest=debug,delivery=warning`: the least severe messages that are shown.
struct LogLevels: ExpressibleByArgument, CustomStringConvertible, Sendable {
    private var common = Logger.Level.info
    private var special: [Subsystem: Logger.Level] = [:]
    let description: String

    /// The level of all parts.
    init(_ level: Logger.Level) {
        common = level
        description = level.rawValue
    }

    init?(argument: String) {
        description = argument
        for (index, part) in argument.split(separator: ",", omittingEmptySubsequences: false)
            .enumerated()
        {
            let pair = part.split(separator: "=", omittingEmptySubsequences: false).map(String.init)
            if pair.count == 2, let subsystem = Subsystem(rawValue: pair[0]),
                let level = Self.level(pair[1])
            {
                special[subsystem] = level
            } else if index == 0, pair.count == 1, let level = Self.level(pair[0]) {
                common = level
            } else {
                return nil
            }
        }
    }

    private static func level(_ text: String) -> Logger.Level? {
        ["debug", "info", "notice", "warning", "error"].contains(text)
            ? Logger.Level(rawValue: text) : nil
    }

    subscript(subsystem: Subsystem) -> Logger.Level { special[subsystem] ?? common }
}

/// The loggers of a server.
struct ServerLogs: Sendable {
    private let levels: LogLevels
    private let shared: ServerLogHandler.Shared
    private let time: any TimeSource

    init(
        levels: LogLevels,
        format: LoggingOptions.LogFormat,
        metrics: any MetricsFactory,
        time: any TimeSource
    ) {
        self.levels = levels
        self.time = time
        shared = ServerLogHandler.Shared(format: format, metrics: metrics, time: time)
    }

    /// The logger of one part.
    subscript(subsystem: Subsystem) -> Logger {
        Logger(label: subsystem.label) { [levels, shared] label in
            ServerLogHandler(
                label: label,
                level: levels[subsystem],
                provider: subsystem == .delivery ? BufferContext.provider : nil,
                shared
            )
        }
    }

    /// Says at times what was left out, until the task is cancelled, and then all of it.
    func tellRepeats() async {
        while (try? await time.sleep(for: .seconds(10))) != nil { shared.sayLeftOut() }
        shared.sayLeftOut(all: true)
    }
}
