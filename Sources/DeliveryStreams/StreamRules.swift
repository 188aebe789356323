internal import Delivery
internal import Destinations
internal import JSON
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
        guard let destination = try stream.destination.objects else {
            let member = stream.destination.kind.configurationMember
            throw FirehoseError(.invalidArgument, "\(member).S3Configuration must be specified")
        }
        let processing = try processing(of: stream)
        let failedType = ErrorOutputType(of: stream.destination.kind)
        let path = stream.destination.kind.isS3 ? "" : "S3Configuration."
        if case .warehouse = DestinationType.of(stream.destination.kind).delivery {
            _ = try RedshiftConfiguration(stream.destination)
            try checkKeyLength(stream, destination, now, further: CopyPlan.longestAddition)
        }
        try checkInterval(try stream.destination.bufferingHints, minimumIntervalSeconds)
        if let zone = destination.customTimeZone, !zone.isEmpty, !TimeZones.isKnown(zone) {
            throw FirehoseError(.invalidArgument, "CustomTimeZone \(zone) is not a known time zone")
        }
        try checkPrefixes(destination, now)
        try checkKeyLength(stream, destination, now, failedType)
        if processing?.changesRecords == true {
            for type in ErrorOutputType.ofProcessing {
                try checkKeyLength(stream, destination, now, type)
            }
        }
        guard let backup = try backupDestination(of: stream) else { return }
        try checkInterval(
            backup.bufferingHints,
            minimumIntervalSeconds,
            path.isEmpty ? "S3BackupConfiguration." : path
        )
        try checkPrefixes(backup, now)
        try checkKeyLength(stream, backup, now)
    }

    /// What a stream does with its records before it delivers them; nil for nothing, and for a stream
    /// that cannot be delivered.
    static func processing(of stream: DeliveryStream) throws(FirehoseError) -> Processing? {
        guard undeliverableMembers(of: stream.destination).isEmpty else { return nil }
        return try Processing(stream.destination.members["ProcessingConfiguration"])
    }

    /// Where a stream's records go as they were put; nil where they do not, and for a stream that
    /// cannot be delivered.
    static func backupDestination(of stream: DeliveryStream) throws(FirehoseError) -> S3Destination?
    {
        guard undeliverableMembers(of: stream.destination).isEmpty else { return nil }
        return try stream.destination.backup
    }

    /// Whether a stream's processing, if it has any, is such as this version takes.
    static func canBeProcessed(_ stream: DeliveryStream) -> Bool {
        do throws(FirehoseError) {
            _ = try processing(of: stream)
            return true
        } catch {
            return false
        }
    }

    /// Whether the log holds records for a backup, even one that is not delivered at the moment.
    static func keepsBackup(_ stream: DeliveryStream) -> Bool { stream.destination.keepsBackup }

    private static func checkInterval(
        _ hints: BufferingHints,
        _ minimum: Int,
        _ path: String = ""
    ) throws(FirehoseError) {
        let interval = hints.intervalInSeconds
        guard interval >= minimum else {
            throw FirehoseError(
                .invalidArgument,
                "\(path)BufferingHints.IntervalInSeconds is \(interval); this server takes "
                    + "\(minimum) to \(Limits.maximumBufferIntervalSeconds) seconds "
                    + "(--min-buffer-interval lowers the floor)"
            )
        }
    }

    /// The members of a configuration that ask for what this program does not have.
    static func undeliverableMembers(of destination: DestinationConfiguration) -> [String] {
        let name = destination.kind.configurationMember
        let members = destination.members
        var asked: [String] = []
        for name in DestinationType.of(destination.kind).unsupportedMembers
        where members[name] != nil {
            asked.append(name)
        }
        if members["SecretsManagerConfiguration"]?["Enabled"]?.boolean ?? false {
            asked.append("SecretsManagerConfiguration")
        }
        let processing = members["ProcessingConfiguration"]
        let types = (processing?["Processors"]?.array ?? []).compactMap { $0["Type"]?.string }
        if processing?["Enabled"]?.boolean ?? false, types.contains("MetadataExtraction") {
            asked.append("ProcessingConfiguration MetadataExtraction")
        }
        if members["DynamicPartitioningConfiguration"]?["Enabled"]?.boolean ?? false {
            asked.append("DynamicPartitioningConfiguration")
        }
        // Left out, Enabled is true here (API model).
        if let conversion = members["DataFormatConversionConfiguration"],
            conversion["Enabled"]?.boolean ?? true
        {
            asked.append("DataFormatConversionConfiguration")
        }
        let backup = members["S3BackupMode"] == "Enabled" ? members["S3BackupConfiguration"] : nil
        let objects = members["S3Configuration"]
        for (path, s3) in [
            ("", destination.kind.isS3 ? members : nil), ("S3BackupConfiguration.", backup),
            ("S3Configuration.", destination.kind.isS3 ? nil : objects),
        ] {
            let format = s3?["CompressionFormat"]?.string.flatMap(CompressionFormat.init(rawValue:))
            if let format, [.snappy, .hadoopSnappy].contains(format) {
                asked.append("\(path)CompressionFormat \(format.rawValue)")
            }
        }
        return asked.map { "\(name).\($0)" }
    }

    private static func checkKeyLength(
        _ stream: DeliveryStream,
        _ destination: S3Destination,
        _ now: Timestamp,
        _ type: ErrorOutputType? = nil,
        further: Int = 0
    )
        throws(FirehoseError)
    {
        var generator = SystemRandomNumberGenerator()
        let prefix = try KeyTemplate(destination.prefix ?? "", as: .prefix)
        let plan = ObjectPlan(
            stream: stream.name,
            version: 1_000_000,
            sequence: 0,
            arrival: now,
            destination: destination,
            template: try type?.template(for: destination) ?? prefix,
            errorOutputType: type,
            generator: &generator
        )
        let count = plan.key.utf8.count + further
        guard count <= Limits.maximumKeyBytes else {
            throw FirehoseError(
                .invalidArgument,
                "\(type == nil ? "Prefix" : "ErrorOutputPrefix") makes keys of \(count) bytes; S3 takes "
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
