internal import Destinations
internal import Records

/// What a stream's configuration must keep beyond the API's shapes.
enum StreamRules {
    /// Refuses what cannot be served, and names the member.
    ///
    /// - Parameters:
    ///   - stream: A stream that keeps to the API's shapes.
    ///   - minimumIntervalSeconds: The lowest IntervalInSeconds.
    ///   - acceptsUndeliverable: Whether streams may be kept that nothing is delivered for.
    ///   - now: The time, for what prefixes evaluate to.
    /// - Throws: InvalidArgument.
    static func check(
        _ stream: DeliveryStream,
        minimumIntervalSeconds: Int,
        acceptsUndeliverable: Bool,
        now: Timestamp
    )
        throws(FirehoseError)
    {
        let undeliverable = undeliverableMembers(of: stream.destination)
        if let member = undeliverable.first {
            guard acceptsUndeliverable else {
                throw FirehoseError(.invalidArgument, "\(member) is not supported")
            }
            return
        }
        guard let destination = stream.destination.s3 else { return }
        let interval = destination.bufferingHints.intervalInSeconds
        guard interval >= minimumIntervalSeconds else {
            throw FirehoseError(
                .invalidArgument,
                "BufferingHints.IntervalInSeconds is \(interval); this server takes "
                    + "\(minimumIntervalSeconds) to \(Limits.maximumBufferIntervalSeconds) seconds "
                    + "(--min-buffer-interval lowers the floor)"
            )
        }
        if let zone = destination.customTimeZone, !zone.isEmpty, !TimeZones.isKnown(zone) {
            throw FirehoseError(.invalidArgument, "CustomTimeZone \(zone) is not a known time zone")
        }
        try checkPrefixes(destination, now)
        try checkKeyLength(stream, destination, now)
    }

    /// The members of a configuration that ask for what this program does not have.
    static func undeliverableMembers(of destination: DestinationConfiguration) -> [String] {
        let name = destination.kind.configurationMember
        guard destination.kind.isS3 else { return [name] }
        let members = destination.members
        var asked: [String] = []
        if members["ProcessingConfiguration"]?["Enabled"]?.boolean ?? false {
            asked.append("ProcessingConfiguration")
        }
        if members["S3BackupMode"] == "Enabled" { asked.append("S3BackupMode Enabled") }
        if members["DynamicPartitioningConfiguration"]?["Enabled"]?.boolean ?? false {
            asked.append("DynamicPartitioningConfiguration")
        }
        // Left out, Enabled is true here (API model).
        if let conversion = members["DataFormatConversionConfiguration"],
            conversion["Enabled"]?.boolean ?? true
        {
            asked.append("DataFormatConversionConfiguration")
        }
        let format = S3Destination(members).compressionFormat
        if [.snappy, .hadoopSnappy].contains(format) {
            asked.append("CompressionFormat \(format.rawValue)")
        }
        return asked.map { "\(name).\($0)" }
    }

    private static func checkKeyLength(
        _ stream: DeliveryStream,
        _ destination: S3Destination,
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
            destination: destination,
            template: try KeyTemplate(destination.prefix ?? "", as: .prefix),
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
