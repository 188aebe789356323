internal import JSON

extension DestinationConfiguration {
    /// Fills in what AWS describes where nothing was given; doing so again changes nothing.
    ///
    /// Source: API model, the members' descriptions.
    package mutating func fillDefaults() {
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
        var defaults = kind.model.defaults
        if members["DataFormatConversionConfiguration"]?["Enabled"]?.boolean ?? false {
            defaults["BufferingHints"] = DestinationModel.hints(
                Limits.defaultConversionBufferSizeMegabytes,
                Limits.defaultBufferIntervalSeconds
            )
        }
        members = Self.filled(members, with: defaults)
        for name in ["S3Configuration", "S3BackupConfiguration"] {
            guard let s3 = members[name] else { continue }
            members[name] = Self.filled(s3, with: DestinationModel.bucketDefaults)
        }
    }

    /// The same configuration, defaults filled in.
    package var withDefaults: DestinationConfiguration {
        var filled = self
        filled.fillDefaults()
        return filled
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
            let retries = JSONValue.string(String(Limits.defaultLambdaRetries))
            processor["Parameters"] = .array(
                parameter("LambdaArn", nil) + parameter("NumberOfRetries", retries)
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
        let defaults: [(JSONValue, Int)] = [
            ("BufferSizeInMBs", Limits.defaultLambdaBufferMegabytes),
            ("BufferIntervalInSeconds", Limits.defaultLambdaBufferIntervalSeconds),
        ]
        let found = defaults.flatMap { name, _ in given.filter { $0["ParameterName"] == name } }
        guard found.isEmpty else { return found }
        return defaults.map { name, value in
            ["ParameterName": name, "ParameterValue": .string(String(value))]
        }
    }

    /// Structures whose members have defaults one by one, and are updated so.
    package static let memberwise: Set<String> = [
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
