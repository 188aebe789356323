internal import ArgumentParser
internal import Foundation
internal import Observability
internal import Platform
internal import Records

/// `hydrant serve`.
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serves the Firehose API and delivers what is put.",
        discussion: """
            Buckets are folders on this machine until an S3 endpoint or credentials are given: by \
            the options below, or by AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION, \
            AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
            """
    )

    @Option(
        help: ArgumentHelp(
            "A JSON file with settings. (default: HYDRANT_CONFIG)",
            valueName: "file"
        )
    )
    var config: String?

    @Flag(
        help: """
            Look whether the settings, streams, files and places that they name are all right, say \
            what is found, and end: with 1 where something is wrong. Nothing is changed.
            """
    )
    var check = false

    @OptionGroup
    var listening: ListenOptions

    @Option(help: "Where records, stream configurations and state are kept.")
    var dataDir = "./hydrant-data"

    @OptionGroup
    var records: RecordOptions

    @OptionGroup
    var identity: IdentityOptions

    @OptionGroup
    var logging: LoggingOptions

    @OptionGroup(title: "Buckets")
    var buckets: BucketOptions

    @OptionGroup(title: "Warehouses")
    var warehouse: WarehouseOptions

    @OptionGroup(title: "Streams")
    var streams: StreamOptions

    @OptionGroup(title: "Access")
    var access: AccessOptions

    @OptionGroup(title: "Encryption at rest")
    var encryption: EncryptionOptions

    @Flag(help: "Encrypt the logs of all streams, whether or not encryption was started for them.")
    var encryptAtRest = false

    func validate() throws {
        try access.validate(host: listening.host)
    }

    func run() async throws {
        try await Complaint.catching {
            if check {
                signal(SIGPIPE, SIG_IGN)
                guard try await ServerCheck(self).run() else { throw ExitCode.failure }
                return
            }
            let time = SystemTime()
            let metrics = PrometheusRegistry(help: ServerMetrics.help)
            let logs = ServerLogs(
                levels: logging.logLevel,
                format: logging.logFormat,
                metrics: metrics,
                time: time
            )
            do {
                let assembly = try Assembly(ServerContext(self, logs, metrics, time))
                try await assembly.run()
            } catch let mistake as any SettingMistake {
                // As a mistake on the command line: who starts servers need not try again.
                StandardStreams.complain("hydrant: \(mistake)\n")
                throw ExitCode.validationFailure
            }
        }
    }
}
