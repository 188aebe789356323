internal import Destinations
internal import Records

/// What a stream's configuration must keep beyond the API's shapes.
enum StreamRules {
    /// Refuses what cannot be served, and names the member.
    static func check(
        _ stream: DeliveryStream,
        minimumIntervalSeconds: Int,
        now: Timestamp
    )
        throws(FirehoseError)
    {
        let destination = stream.destination
        let interval = destination.bufferingHints.intervalInSeconds
        guard interval >= minimumIntervalSeconds else {
            throw FirehoseError(
                .invalidArgument,
                "BufferingHints.IntervalInSeconds is \(interval); this server takes "
                    + "\(minimumIntervalSeconds) to \(Limits.maximumBufferIntervalSeconds) seconds "
                    + "(--min-buffer-interval lowers the floor)"
            )
        }
        if [.snappy, .hadoopSnappy].contains(destination.compressionFormat) {
            throw FirehoseError(
                .invalidArgument,
                "CompressionFormat \(destination.compressionFormat.rawValue) is not supported; "
                    + "use UNCOMPRESSED, GZIP or ZIP"
            )
        }
        if let zone = destination.customTimeZone, !zone.isEmpty, !TimeZones.isKnown(zone) {
            throw FirehoseError(.invalidArgument, "CustomTimeZone \(zone) is not a known time zone")
        }
        try checkPrefixes(destination, now)
        try checkKeyLength(stream, now)
    }

    private static func checkKeyLength(
        _ stream: DeliveryStream,
        _ now: Timestamp
    )
        throws(FirehoseError)
    {
        var generator = SystemRandomNumberGenerator()
        let plan = ObjectPlan(
            stream: stream.name,
            version: 1_000_000,
            sequence: 0,
            arrival: now,
            destination: stream.destination,
            template: try KeyTemplate(stream.destination.prefix ?? "", as: .prefix),
            generator: &generator
        )
        guard plan.key.utf8.count <= Limits.maximumKeyBytes else {
            throw FirehoseError(
                .invalidArgument,
                "Prefix makes keys of \(plan.key.utf8.count) bytes; S3 takes "
                    + "\(Limits.maximumKeyBytes)"
            )
        }
    }

    /// Developer guide, "Understand custom prefixes for Amazon S3 objects", "Semantic rules".
    private static func checkPrefixes(
        _ destination: S3Destination,
        _ now: Timestamp
    )
        throws(FirehoseError)
    {
        let prefix = try KeyTemplate(destination.prefix ?? "", as: .prefix)
        try checkLength(prefix, "Prefix", destination, now)
        guard let text = destination.errorOutputPrefix, !text.isEmpty else {
            guard !prefix.hasExpressions else {
                throw FirehoseError(
                    .invalidArgument,
                    "ErrorOutputPrefix cannot be null or empty when Prefix contains expressions"
                )
            }
            return
        }
        let errorPrefix = try KeyTemplate(text, as: .errorOutputPrefix)
        try checkLength(errorPrefix, "ErrorOutputPrefix", destination, now)
        guard !errorPrefix.hasExpressions || errorPrefix.hasErrorOutputType else {
            throw FirehoseError(
                .invalidArgument,
                "ErrorOutputPrefix contains expressions and so must contain "
                    + "!{firehose:error-output-type}"
            )
        }
    }

    private static func checkLength(
        _ template: KeyTemplate,
        _ member: String,
        _ destination: S3Destination,
        _ now: Timestamp
    ) throws(FirehoseError) {
        let offset = TimeZones.offsetSeconds(of: destination.customTimeZone, at: now)
        let count = template.countedCharacters(at: now, offsetSeconds: offset)
        guard count <= Limits.maximumEvaluatedPrefixCharacters else {
            throw FirehoseError(
                .invalidArgument,
                "\(member) evaluates to \(count) characters, more than "
                    + "\(Limits.maximumEvaluatedPrefixCharacters)"
            )
        }
    }
}
