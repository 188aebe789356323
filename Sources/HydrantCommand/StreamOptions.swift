internal import ArgumentParser
internal import Delivery
internal import DeliveryStreams
internal import Records

/// What streams may ask for and get: options of `hydrant serve`.
struct StreamOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Streams to create or bring up to date at start.",
            discussion: """
                A JSON file, or a folder of *.json files, with one or several documents in the \
                shape of CreateDeliveryStream. Other streams stay as they are.
                """,
            valueName: "path"
        )
    )
    var streams: String?

    @Option(help: "The lowest IntervalInSeconds that a stream may have, 0 to 900 (seconds).")
    var minBufferInterval = Limits.defaultMinimumBufferIntervalSeconds

    @Option(
        help: ArgumentHelp(
            "What streams take a second; beyond it puts get \"Slow down.\" Repeatable.",
            discussion: """
                NAMES is a pattern with * and ?, and the first that matches a stream's name counts: \
                'logs-*:records=1000,requests=100,bytes=1048576'
                """,
            valueName: "names:limits"
        )
    )
    var streamLimit: [StreamLimit] = []

    @Flag(
        help: """
            Hold requests to the API model's own patterns: https endpoints, AWS's host names, \
            12-digit accounts, this server's region in signatures.
            """
    )
    var strictAws = false

    @Flag(
        help: """
            Accept streams with destinations or features that this version cannot deliver: their \
            records are kept, and not delivered.
            """
    )
    var acceptUndeliverable = false

    @Option(
        help: ArgumentHelp(
            "Where the programs of Lambda processors are.",
            discussion: """
                The function's name in LambdaArn is an executable in this folder, or a folder with a \
                transform.json. They run as this server's user.
                """,
            valueName: "dir"
        )
    )
    var transforms = "./transforms"

    @Option(help: "Batches that are being transformed at one time, all streams together.")
    var transformLimit = Limits.defaultMaximumTransformBatches

    func validate() throws {
        guard (1...10_000).contains(transformLimit) else {
            throw ValidationError("--transform-limit is 1 to 10000")
        }
        guard (0...Limits.maximumBufferIntervalSeconds).contains(minBufferInterval) else {
            throw ValidationError("--min-buffer-interval is 0 to 900 seconds")
        }
    }

    var policy: StreamPolicy {
        StreamPolicy(
            minimumBufferIntervalSeconds: minBufferInterval,
            acceptsUndeliverable: acceptUndeliverable,
            limits: ThroughputLimits(streamLimit.map { ($0.names, $0.limit) })
        )
    }
}

/// `NAMES:records=N,requests=N,bytes=N`.
struct StreamLimit: ExpressibleByArgument {
    var names: Glob
    var limit = ThroughputLimit()

    init?(argument: String) {
        guard let colon = argument.lastIndex(of: ":") else { return nil }
        names = Glob(String(argument[..<colon]))
        let parts = argument[colon...].dropFirst()
            .split(separator: ",", omittingEmptySubsequences: false)
        for part in parts {
            let pair = part.split(separator: "=", maxSplits: 1)
            guard pair.count == 2, let number = Int(pair[1]), number > 0 else { return nil }
            switch pair[0] {
            case "records": limit.recordsPerSecond = number
            case "requests": limit.requestsPerSecond = number
            case "bytes": limit.bytesPerSecond = number
            default: return nil
            }
        }
        guard limit != ThroughputLimit(), !names.pattern.isEmpty else { return nil }
    }
}
