internal import ArgumentParser
internal import Destinations
internal import DurableLog
internal import Logging
internal import Records

/// Where the server listens: options of `hydrant serve`.
struct ListenOptions: ParsableArguments {
    @Option(help: "The address to listen on: loopback only, without --credentials or --no-auth.")
    var host = "127.0.0.1"

    @Option(help: "The port to listen on; 0 picks a free one.")
    var port = 4573

    func validate() throws {
        guard (0...65535).contains(port) else { throw ValidationError("--port is 0 to 65535") }
    }
}

/// How records are kept and delivered: options of `hydrant serve`.
struct RecordOptions: ParsableArguments {
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

    @Option(
        help: ArgumentHelp(
            "Kilobytes of a segment of a stream's log, 64 to 1048576.",
            discussion: """
                A segment is let go when all of it is delivered. The first two of a stream are \
                smaller.
                """
        )
    )
    var logSegmentKilobytes = Int(Limits.segmentBytes / 1024)

    func validate() throws {
        guard (1...9).contains(compressionLevel) else {
            throw ValidationError("--compression-level is 1 to 9")
        }
        guard (0...1_000_000_000).contains(freshnessBound) else {
            throw ValidationError("--freshness-bound is 0 seconds or more")
        }
        guard (64...1_048_576).contains(logSegmentKilobytes) else {
            throw ValidationError("--log-segment-kilobytes is 64 to 1048576")
        }
        guard s3RetryDuration >= 0 else {
            throw ValidationError("--s3-retry-duration is 0 seconds or more")
        }
    }
}

/// Who the server is to its clients: options of `hydrant serve`.
struct IdentityOptions: ParsableArguments {
    @Option(help: "The region in this server's ARNs.")
    var region = "us-east-1"

    @Option(help: "The account in this server's ARNs.")
    var accountID = "000000000000"

    var service: ServiceIdentity { ServiceIdentity(region: region, account: accountID) }
}

/// What the server logs: options of `hydrant serve`.
struct LoggingOptions: ParsableArguments {
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

    /// What a log line is.
    enum LogFormat: String, ExpressibleByArgument, CaseIterable {
        case text
        case json
    }
}

extension S3Configuration.Addressing: ExpressibleByArgument {}
extension Durability: ExpressibleByArgument {}
