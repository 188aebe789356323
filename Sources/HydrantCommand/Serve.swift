internal import ArgumentParser
internal import Delivery
internal import Destinations
internal import DurableLog
internal import Foundation
internal import Logging
internal import Observability
internal import Platform
internal import Records
internal import ServiceLifecycle
internal import SigV4
internal import UnixSignals

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

    @Option(help: "The address to listen on: loopback only, without --credentials or --no-auth.")
    var host = "127.0.0.1"

    @Option(help: "The port to listen on; 0 picks a free one.")
    var port = 4573

    @Option(help: "Where records, stream configurations and state are kept.")
    var dataDir = "./hydrant-data"

    @Option(help: "Seconds after the first attempt at which an object is set aside.")
    var s3RetryDuration = Limits.defaultS3RetrySeconds

    @Option(
        help: ArgumentHelp(
            "A JSON file that says how endpoints of OpenSearch, HTTP and Splunk are reached.",
            discussion: """
                Credentials, certificate authorities, sizes and time-outs by the endpoint's URL; only \
                its owner may be able to read it.
                """,
            valueName: "file"
        )
    )
    var endpointSettings: String?

    @Option(
        help: "Seconds beyond its buffers' interval that a record may wait until /ready says no."
    )
    var freshnessBound = 3600

    @Option(help: "What an answered put has gone through: fsync, or os for the page cache alone.")
    var durability = Durability.fsync

    @Option(help: "Compression of GZIP and ZIP objects: 1 (fast) to 9 (small).")
    var compressionLevel = 1

    @Option(help: "Bytes that one stream may hold undelivered; beyond them puts get \"Slow down.\"")
    var maxLogBytes = Limits.defaultMaximumLogBytesPerStream

    @Option(help: "The region in this server's ARNs.")
    var region = "us-east-1"

    @Option(help: "The account in this server's ARNs.")
    var accountID = "000000000000"

    @Option(
        help: ArgumentHelp(
            "The least severe log messages that are shown: info, or info,ingest=debug,delivery=error.",
            discussion: """
                Levels are debug, info, notice, warning and error; the parts with levels of their \
                own are server, ingest, log, delivery and transforms.
                """,
            valueName: "levels"
        )
    )
    var logLevel = LogLevels(.info)

    @Option(help: "How log lines look: text or json.")
    var logFormat = LogFormat.text

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

    /// What a log line is.
    enum LogFormat: String, ExpressibleByArgument, CaseIterable {
        case text
        case json
    }

    func validate() throws {
        guard (0...65535).contains(port) else { throw ValidationError("--port is 0 to 65535") }
        guard (1...9).contains(compressionLevel) else {
            throw ValidationError("--compression-level is 1 to 9")
        }
        guard (0...1_000_000_000).contains(freshnessBound) else {
            throw ValidationError("--freshness-bound is 0 seconds or more")
        }
        guard s3RetryDuration >= 0 else {
            throw ValidationError("--s3-retry-duration is 0 seconds or more")
        }
        try access.validate(host: host)
    }

    func run() async throws {
        try await Complaint.catching {
            if check {
                signal(SIGPIPE, SIG_IGN)
                guard try await ServerCheck(self).run() else { throw ExitCode.failure }
                return
            }
            let metrics = PrometheusRegistry(help: ServerMetrics.help)
            let logs = ServerLogs(levels: logLevel, format: logFormat, metrics: metrics)
            do {
                let assembly = try Assembly(settings: self, logs: logs, metrics: metrics)
                try await assembly.run()
            } catch let mistake as any SettingMistake {
                // As a mistake on the command line: who starts servers need not try again.
                StandardStreams.complain("hydrant: \(mistake)\n")
                throw ExitCode.validationFailure
            }
        }
    }
}

extension S3Configuration.Addressing: ExpressibleByArgument {}
extension Durability: ExpressibleByArgument {}
