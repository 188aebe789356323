internal import ArgumentParser
internal import Delivery
internal import DeliveryStreams
internal import Destinations
internal import Egress
internal import Foundation
internal import JSON
internal import Records

/// `hydrant replay`.
struct Replay: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Delivers again what was given up.",
        subcommands: [Redshift.self]
    )

    struct Redshift: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Loads a stream's error manifests, and moves those that are loaded.",
            discussion: """
                Beside a running server or without one. Each manifest under errors/manifests/ that \
                is loaded goes to errors/manifests-loaded/. Ends with 1 if some could not be loaded.
                """
        )

        @Argument(help: "The stream's name.")
        var stream: String

        @Option(
            help: ArgumentHelp(
                "The server's settings. (default: HYDRANT_CONFIG)",
                valueName: "file"
            )
        )
        var config: String?

        @Option(help: "Where the stream's configuration is kept.")
        var dataDir = "./hydrant-data"

        @Option(
            help: ArgumentHelp(
                "The first hour, as 2026-07-13T14:00:00Z.",
                valueName: "time"
            )
        )
        var from: Moment?

        @Option(help: ArgumentHelp("The last hour.", valueName: "time"))
        var to: Moment?

        @Flag(help: "Print what would be loaded, and change nothing.")
        var dryRun = false

        @Flag(help: "Print a line of JSON for each manifest.")
        var json = false

        @OptionGroup(title: "Warehouses")
        var warehouse: WarehouseOptions

        @OptionGroup(title: "Buckets")
        var buckets: BucketOptions

        func validate() throws {
            guard warehouse.copy != .none || dryRun else {
                throw ValidationError("--copy none loads nothing")
            }
        }

        func run() async throws {
            signal(SIGPIPE, SIG_IGN)
            let client = HTTPClient()
            defer { client.shutDown() }
            try await Complaint.catching {
                let folder = Place.absolute(dataDir)
                guard FileManager.default.fileExists(atPath: folder) else {
                    throw SettingsError(description: "the data folder \(folder) does not exist")
                }
                let time = SystemTime()
                let backfill = try ManifestBackfill(
                    stream: stream,
                    dataFolder: folder,
                    store: try buckets.store(dataDir: folder, client, time, nil),
                    copies: try CopyService(warehouse.settings(), client: client, time: time),
                    time: time
                )
                var failures = 0
                let keys = try await backfill.manifests(from: from?.time, to: to?.time)
                if keys.isEmpty {
                    StandardStreams.complain(
                        "hydrant: no manifests of \(stream) under \(backfill.place)\n"
                    )
                }
                for key in keys {
                    let url = backfill.url(key)
                    guard !dryRun else {
                        try say("would be loaded", url)
                        continue
                    }
                    switch try await backfill.load(key) {
                    case .loaded: try say("loaded", url)
                    case .loadedBefore: try say("already loaded", url)
                    case .notMoved(let failure):
                        failures += 1
                        try say("loaded, and not moved:", url, failure)
                    case .failed(let failure):
                        failures += 1
                        try say("failed", url, failure)
                    }
                }
                if failures > 0 { throw ExitCode.failure }
            }
        }

        private func say(
            _ outcome: String,
            _ url: String,
            _ failure: DeliveryFailure? = nil
        ) throws {
            guard json else {
                let reason = failure.map { " \($0.code): \($0.message)" } ?? ""
                return try StandardStreams.print("\(url) \(outcome)\(reason)")
            }
            var members = "{\"manifest\":\(JSONText.quoted(url)),\"outcome\":\"\(outcome)\""
            if let failure {
                members += ",\"code\":\(JSONText.quoted(failure.code))"
                members += ",\"message\":\(JSONText.quoted(failure.message))"
            }
            try StandardStreams.print(members + "}")
        }
    }
}

/// A time on the command line.
struct Moment: ExpressibleByArgument {
    var time: Timestamp

    init?(argument: String) {
        guard let date = try? Date(argument, strategy: .iso8601) else { return nil }
        time = Timestamp(milliseconds: Int64((date.timeIntervalSince1970 * 1000).rounded()))
    }
}
