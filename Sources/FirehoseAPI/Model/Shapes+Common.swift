internal import JSON
internal import Records

/// Shapes that several others are made of.
extension Shape {
    static let deliveryStreamName = text(
        1...Limits.maximumStreamNameCharacters,
        "[a-zA-Z0-9_.-]+"
    )
    static let deliveryStreamType = values(
        "DirectPut",
        "KinesisStreamAsSource",
        "MSKAsSource",
        "DatabaseAsSource"
    )
    static let roleARN = text(
        1...512,
        #"arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+"#,
        relaxed: #"arn:.*:iam::[^:]*:role/[a-zA-Z_0-9+=,.@\-_/]+"#
    )
    static let kmsKeyARN = text(
        1...512,
        #"arn:.*:kms:[a-zA-Z0-9\-]+:\d{12}:(key|alias)/[a-zA-Z_0-9+=,.@\-_/]+"#,
        relaxed: #"arn:.*:kms:[a-zA-Z0-9\-]+:[^:]*:(key|alias)/[a-zA-Z_0-9+=,.@\-_/]+"#
    )
    static let nonEmptyString = text(1...1024, #"^(?!\s*$).+"#)
    static let nonEmptyStringWithoutWhitespace = text(1...1024, #"^\S+$"#)
    /// In every shape that has one, 0 to 7200 seconds.
    static let retryOptions = structure(.optional("DurationInSeconds", .integer(0...7200)))

    static let cloudWatchLoggingOptions = structure(
        .optional("Enabled", .boolean),
        .optional("LogGroupName", .text(0...512, #"[\.\-_/#A-Za-z0-9]*"#)),
        .optional("LogStreamName", .text(0...512, "[^:*]*"))
    )

    static let secretsManagerConfiguration = structure(
        .optional(
            "SecretARN",
            .text(
                1...2048,
                #"arn:.*:secretsmanager:[a-zA-Z0-9\-]+:\d{12}:secret:[a-zA-Z0-9\-/_+=.@!]+"#,
                relaxed:
                    #"arn:.*:secretsmanager:[a-zA-Z0-9\-]+:[^:]*:secret:[a-zA-Z0-9\-/_+=.@!]+"#
            )
        ),
        .optional("RoleARN", .roleARN),
        .required("Enabled", .boolean)
    )

    static let vpcConfiguration = structure(
        .required("SubnetIds", .list(.nonEmptyStringWithoutWhitespace, count: 1...16)),
        .required("RoleARN", .roleARN),
        .required("SecurityGroupIds", .list(.nonEmptyStringWithoutWhitespace, count: 1...5))
    )

    static let processingConfiguration = structure(
        .optional("Enabled", .boolean),
        .optional("Processors", .list(.processor, count: 0...Int.max))
    )

    private static let processor = structure(
        .required(
            "Type",
            .values(
                "RecordDeAggregation",
                "Decompression",
                "CloudWatchLogProcessing",
                "Lambda",
                "MetadataExtraction",
                "AppendDelimiterToRecord"
            )
        ),
        .optional("Parameters", .list(.processorParameter, count: 0...Int.max))
    )

    private static let processorParameter = structure(
        .required(
            "ParameterName",
            .values(
                "LambdaArn",
                "NumberOfRetries",
                "MetadataExtractionQuery",
                "JsonParsingEngine",
                "RoleArn",
                "BufferSizeInMBs",
                "BufferIntervalInSeconds",
                "SubRecordType",
                "Delimiter",
                "CompressionFormat",
                "DataMessageExtraction"
            )
        ),
        .required("ParameterValue", .text(1...5120, #"^(?!\s*$).+"#))
    )

    static let encryptionInput = structure(
        .optional(
            "KeyARN",
            .text(
                1...512,
                #"arn:.*:kms:[a-zA-Z0-9\-]+:\d{12}:key/[a-zA-Z_0-9+=,.@\-_/]+"#,
                relaxed: #"arn:.*:kms:[a-zA-Z0-9\-]+:[^:]*:key/[a-zA-Z_0-9+=,.@\-_/]+"#
            )
        ),
        .required("KeyType", .values("AWS_OWNED_CMK", "CUSTOMER_MANAGED_CMK"))
    )

    static let tagKey = text(1...128, #"^(?!aws:)[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$"#)
    static let tags = list(
        structure(
            .required("Key", .tagKey),
            .optional("Value", .text(0...256, #"^[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$"#))
        ),
        count: 1...Limits.maximumTags
    )
    static let tagKeys = list(.tagKey, count: 1...Limits.maximumTags)

    /// BufferingHints of a destination.
    static func bufferingHints(
        sizeInMBs: ClosedRange<Int>,
        intervalInSeconds: ClosedRange<Int>
    )
        -> Shape
    {
        structure(
            .optional("SizeInMBs", .integer(sizeInMBs)),
            .optional("IntervalInSeconds", .integer(intervalInSeconds))
        )
    }
}
