internal import JSON
internal import Records

/// S3 destinations: the plain ones, which every other destination has as well, and the extended.
extension Shape {
    static let s3DestinationConfiguration = Shape.structure(s3Members)
    static let s3DestinationUpdate = s3DestinationConfiguration.asUpdate()
    static let extendedS3DestinationConfiguration = Shape.structure(
        s3Members + [
            .optional("ProcessingConfiguration", .processingConfiguration),
            .optional("S3BackupMode", .values("Disabled", "Enabled")),
            .optional("S3BackupConfiguration", .s3DestinationConfiguration),
            .optional("DataFormatConversionConfiguration", .dataFormatConversion),
            .optional(
                "DynamicPartitioningConfiguration",
                .structure(
                    .optional("RetryOptions", .retryOptions),
                    .optional("Enabled", .boolean)
                )
            ),
            .optional("FileExtension", .text(0...128, #"^$|\.[0-9a-z!\-_.*'()]+"#)),
            .optional("CustomTimeZone", .text(0...50, "^$|[a-zA-Z/_]+")),
        ]
    )
    static let extendedS3DestinationUpdate = extendedS3DestinationConfiguration.asUpdate()

    private static let s3Members: [Member] = [
        .required("RoleARN", .roleARN),
        .required("BucketARN", .text(1...2048, #"arn:.*:s3:::[\w\.\-]{1,255}"#)),
        .optional("Prefix", .text(0...Limits.maximumPrefixCharacters, ".*")),
        .optional("ErrorOutputPrefix", .text(0...Limits.maximumPrefixCharacters, ".*")),
        .optional(
            "BufferingHints",
            .bufferingHints(
                sizeInMBs: Limits.bufferSizeMegabytes,
                intervalInSeconds: 0...Limits.maximumBufferIntervalSeconds
            )
        ),
        .optional(
            "CompressionFormat",
            .values("UNCOMPRESSED", "GZIP", "ZIP", "Snappy", "HADOOP_SNAPPY")
        ),
        .optional(
            "EncryptionConfiguration",
            .structure(
                .optional("NoEncryptionConfig", .values("NoEncryption")),
                .optional(
                    "KMSEncryptionConfig",
                    .structure(.required("AWSKMSKeyARN", .kmsKeyARN))
                )
            )
        ),
        .optional("CloudWatchLoggingOptions", .cloudWatchLoggingOptions),
    ]

    // MARK: Format conversion

    private static let dataFormatConversion = structure(
        .optional("SchemaConfiguration", .schema),
        .optional(
            "InputFormatConfiguration",
            .structure(.optional("Deserializer", .deserializer))
        ),
        .optional(
            "OutputFormatConfiguration",
            .structure(
                .optional(
                    "Serializer",
                    .structure(
                        .optional("ParquetSerDe", .parquet),
                        .optional("OrcSerDe", .orc)
                    )
                )
            )
        ),
        .optional("Enabled", .boolean)
    )

    private static let schema = structure(
        .optional("RoleARN", .nonEmptyStringWithoutWhitespace),
        .optional("CatalogId", .nonEmptyStringWithoutWhitespace),
        .optional("DatabaseName", .nonEmptyStringWithoutWhitespace),
        .optional("TableName", .nonEmptyStringWithoutWhitespace),
        .optional("Region", .nonEmptyStringWithoutWhitespace),
        .optional("VersionId", .nonEmptyStringWithoutWhitespace)
    )

    private static let deserializer = structure(
        .optional(
            "OpenXJsonSerDe",
            .structure(
                .optional("ConvertDotsInJsonKeysToUnderscores", .boolean),
                .optional("CaseInsensitive", .boolean),
                .optional(
                    "ColumnToJsonKeyMappings",
                    .map(key: .nonEmptyStringWithoutWhitespace, value: .nonEmptyString)
                )
            )
        ),
        .optional(
            "HiveJsonSerDe",
            .structure(
                .optional("TimestampFormats", .list(.nonEmptyString, count: 0...Int.max))
            )
        )
    )

    private static let blockSizeBytes = atLeast(64 * 1024 * 1024)

    private static let parquet = structure(
        .optional("BlockSizeBytes", .blockSizeBytes),
        .optional("PageSizeBytes", .atLeast(64 * 1024)),
        .optional("Compression", .values("UNCOMPRESSED", "GZIP", "SNAPPY")),
        .optional("EnableDictionaryCompression", .boolean),
        .optional("MaxPaddingBytes", .atLeast(0)),
        .optional("WriterVersion", .values("V1", "V2"))
    )

    private static let orc = structure(
        .optional("StripeSizeBytes", .atLeast(8 * 1024 * 1024)),
        .optional("BlockSizeBytes", .blockSizeBytes),
        .optional("RowIndexStride", .atLeast(1000)),
        .optional("EnablePadding", .boolean),
        .optional("PaddingTolerance", .number(0...1)),
        .optional("Compression", .values("NONE", "ZLIB", "SNAPPY")),
        .optional(
            "BloomFilterColumns",
            .list(.nonEmptyStringWithoutWhitespace, count: 0...Int.max)
        ),
        .optional("BloomFilterFalsePositiveProbability", .number(0...1)),
        .optional("DictionaryKeyThreshold", .number(0...1)),
        .optional("FormatVersion", .values("V0_11", "V0_12"))
    )
}
