internal import JSON
internal import Records

extension DestinationKind {
    /// The shape of the kind's configuration.
    var shape: Shape {
        switch self {
        case .s3: .s3DestinationConfiguration
        case .extendedS3: .extendedS3DestinationConfiguration
        case .redshift: .redshiftDestinationConfiguration
        case .elasticsearch: .elasticsearchDestinationConfiguration
        case .openSearch: .openSearchDestinationConfiguration
        case .splunk: .splunkDestinationConfiguration
        case .httpEndpoint: .httpEndpointDestinationConfiguration
        }
    }
}

extension DestinationConfiguration {
    /// Fills in what AWS describes where nothing was given.
    ///
    /// Source: API model, the members' descriptions.
    mutating func fillDefaults() {
        // Whoever names processors and leaves the switch out wants them.
        if let processors = members["ProcessingConfiguration"]?["Processors"]?.array,
            !processors.isEmpty, members["ProcessingConfiguration"]?["Enabled"] == nil
        {
            members["ProcessingConfiguration"]?["Enabled"] = true
        }
        if let processors = members["ProcessingConfiguration"]?["Processors"]?.array {
            let role = members["RoleARN"]
            members["ProcessingConfiguration"]?["Processors"] = .array(
                processors.map { Self.described($0, role: role) }
            )
        }
        // Left out, Enabled is true here (API model).
        if let conversion = members["DataFormatConversionConfiguration"],
            conversion["Enabled"] == nil
        {
            members["DataFormatConversionConfiguration"]?["Enabled"] = true
        }
        members = Self.filled(members, with: Self.defaults(of: kind, members))
        for name in ["S3Configuration", "S3BackupConfiguration"] {
            guard let s3 = members[name] else { continue }
            members[name] = Self.filled(s3, with: Self.s3Defaults(sizeInMBs: 5))
        }
    }

    private static func defaults(of kind: DestinationKind, _ members: JSONValue) -> JSONValue {
        switch kind {
        case .s3:
            return s3Defaults(sizeInMBs: Limits.defaultBufferSizeMegabytes)
        case .extendedS3:
            let conversion = members["DataFormatConversionConfiguration"]
            let converts = conversion?["Enabled"]?.boolean ?? false
            let size = converts ? 128 : Limits.defaultBufferSizeMegabytes
            return filled(
                ["S3BackupMode": "Disabled", "CustomTimeZone": "UTC"],
                with: filled(common, with: s3Defaults(sizeInMBs: size))
            )
        case .redshift:
            return filled(
                ["S3BackupMode": "Disabled", "RetryOptions": retry(seconds: 3600)],
                with: common
            )
        case .elasticsearch, .openSearch:
            return filled(
                [
                    "S3BackupMode": "FailedDocumentsOnly", "IndexRotationPeriod": "OneDay",
                    "BufferingHints": hints(5, 300), "RetryOptions": retry(seconds: 300),
                ],
                with: common
            )
        case .splunk:
            return filled(
                [
                    "S3BackupMode": "FailedEventsOnly", "BufferingHints": hints(5, 60),
                    "HECAcknowledgmentTimeoutInSeconds": 180, "RetryOptions": retry(seconds: 300),
                ],
                with: common
            )
        case .httpEndpoint:
            return filled(
                [
                    "S3BackupMode": "FailedDataOnly", "BufferingHints": hints(5, 300),
                    "RetryOptions": retry(seconds: 300),
                    "RequestConfiguration": ["ContentEncoding": "NONE", "CommonAttributes": []],
                ],
                with: common
            )
        }
    }

    private static let common: JSONValue = [
        "CloudWatchLoggingOptions": ["Enabled": false],
        "ProcessingConfiguration": ["Enabled": false, "Processors": []],
    ]

    private static func s3Defaults(sizeInMBs size: Int) -> JSONValue {
        [
            "BufferingHints": hints(size, Limits.defaultBufferIntervalSeconds),
            "CompressionFormat": "UNCOMPRESSED",
            "EncryptionConfiguration": ["NoEncryptionConfig": "NoEncryption"],
            "CloudWatchLoggingOptions": ["Enabled": false],
        ]
    }

    /// A processor with the parameters that AWS describes it with, in its order; of a Lambda processor
    /// all, of an AppendDelimiterToRecord none (real AWS, as probed by third parties).
    private static func described(_ processor: JSONValue, role: JSONValue?) -> JSONValue {
        let type = processor["Type"]?.string ?? ""
        let given = processor["Parameters"]?.array ?? []
        var processor = processor
        func parameter(_ name: String, _ fallback: JSONValue?) -> [JSONValue] {
            let values = given.filter { $0["ParameterName"] == .string(name) }
            guard values.isEmpty else { return values }
            return fallback.map { [["ParameterName": .string(name), "ParameterValue": $0]] } ?? []
        }
        switch type {
        case "Lambda":
            processor["Parameters"] = .array(
                parameter("LambdaArn", nil) + parameter("NumberOfRetries", "3")
                    + parameter("RoleArn", role) + bufferParameters(given)
            )
        case "Decompression":
            processor["Parameters"] = .array(parameter("CompressionFormat", "GZIP"))
        case "CloudWatchLogProcessing":
            processor["Parameters"] = .array(parameter("DataMessageExtraction", nil))
        case "RecordDeAggregation":
            processor["Parameters"] = .array(
                parameter("SubRecordType", nil) + parameter("Delimiter", nil)
            )
        case "AppendDelimiterToRecord":
            processor["Parameters"] = []
        default:
            break
        }
        return processor
    }

    /// The two come together or not at all, which is for the rules of processing to say.
    private static func bufferParameters(_ given: [JSONValue]) -> [JSONValue] {
        let names: [(JSONValue, JSONValue)] = [
            ("BufferSizeInMBs", "1"), ("BufferIntervalInSeconds", "60"),
        ]
        let found = names.flatMap { name, _ in given.filter { $0["ParameterName"] == name } }
        guard found.isEmpty else { return found }
        return names.map { ["ParameterName": $0, "ParameterValue": $1] }
    }

    private static func hints(_ size: Int, _ interval: Int) -> JSONValue {
        ["SizeInMBs": .integer(size), "IntervalInSeconds": .integer(interval)]
    }

    private static func retry(seconds: Int) -> JSONValue {
        ["DurationInSeconds": .integer(seconds)]
    }

    /// Structures whose members have defaults one by one, and are updated so.
    static let memberwise: Set<String> = [
        "BufferingHints", "RetryOptions", "CloudWatchLoggingOptions", "ProcessingConfiguration",
        "RequestConfiguration",
    ]

    private static func filled(_ members: JSONValue, with defaults: JSONValue) -> JSONValue {
        var result = members
        for (name, value) in defaults.object ?? [:] {
            guard let given = result[name] else {
                result[name] = value
                continue
            }
            if memberwise.contains(name) { result[name] = filled(given, with: value) }
        }
        return result
    }
}
