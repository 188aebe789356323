internal import JSON
internal import Records

/// The destinations that are not S3.
extension Shape {
    // MARK: Redshift

    static let redshiftDestinationConfiguration = structure(
        .required("RoleARN", .roleARN),
        .required(
            "ClusterJDBCURL",
            .text(
                1...512,
                #"jdbc:(redshift|postgresql)://((?!-)[A-Za-z0-9-]{1,63}(?<!-)\.)+"#
                    + #"(redshift(-serverless)?)\.([a-zA-Z0-9\.\-]+):\d{1,5}/[a-zA-Z0-9_$-]+"#,
                relaxed: #"jdbc:(redshift|postgresql)://(\[[0-9a-fA-F:.]+\]|[^\s/:\[\]]+)"#
                    + #"(:\d{1,5})?/\S+"#
            )
        ),
        .required(
            "CopyCommand",
            .structure(
                .required("DataTableName", .text(1...512, ".*")),
                .optional("DataTableColumns", .text(0...10_240, ".*")),
                .optional("CopyOptions", .text(0...10_240, ".*"))
            )
        ),
        .optional("Username", .text(1...512, ".*")),
        .optional("Password", .secret(6...512, ".*")),
        .optional("RetryOptions", .retryOptions),
        .required("S3Configuration", .s3DestinationConfiguration),
        .optional("ProcessingConfiguration", .processingConfiguration),
        .optional("S3BackupMode", .values("Disabled", "Enabled")),
        .optional("S3BackupConfiguration", .s3DestinationConfiguration),
        .optional("CloudWatchLoggingOptions", .cloudWatchLoggingOptions),
        .optional("SecretsManagerConfiguration", .secretsManagerConfiguration)
    )
    static let redshiftDestinationUpdate = redshiftDestinationConfiguration.asUpdate()

    // MARK: Elasticsearch and OpenSearch

    static let elasticsearchDestinationConfiguration = structure(
        .required("RoleARN", .roleARN),
        .optional(
            "DomainARN",
            .text(
                1...512,
                #"arn:.*:es:[a-zA-Z0-9\-]+:\d{12}:domain/[a-z][-0-9a-z]{2,27}"#,
                relaxed: #"arn:.*:es:[a-zA-Z0-9\-]+:[^:]*:domain/[a-z][-0-9a-z]{2,27}"#
            )
        ),
        .optional("ClusterEndpoint", .text(1...512, "https:.*", relaxed: "https?:.*")),
        .required("IndexName", .text(1...80, ".*")),
        .optional("TypeName", .text(0...100, ".*")),
        .optional(
            "IndexRotationPeriod",
            .values("NoRotation", "OneHour", "OneDay", "OneWeek", "OneMonth")
        ),
        .optional(
            "BufferingHints",
            .bufferingHints(sizeInMBs: 1...100, intervalInSeconds: 0...900)
        ),
        .optional("RetryOptions", .retryOptions),
        .optional("S3BackupMode", .values("FailedDocumentsOnly", "AllDocuments")),
        .required("S3Configuration", .s3DestinationConfiguration),
        .optional("ProcessingConfiguration", .processingConfiguration),
        .optional("CloudWatchLoggingOptions", .cloudWatchLoggingOptions),
        .optional("VpcConfiguration", .vpcConfiguration),
        .optional(
            "DocumentIdOptions",
            .structure(
                .required(
                    "DefaultDocumentIdFormat",
                    .values("FIREHOSE_DEFAULT", "NO_DOCUMENT_ID")
                )
            )
        )
    )
    static let elasticsearchDestinationUpdate = elasticsearchDestinationConfiguration.asUpdate(
        without: ["S3BackupMode", "VpcConfiguration"]
    )
    // The two are one shape under two names in the model.
    static let openSearchDestinationConfiguration = elasticsearchDestinationConfiguration
    static let openSearchDestinationUpdate = elasticsearchDestinationUpdate

    // MARK: HTTP endpoint

    static let httpEndpointDestinationConfiguration = structure(
        .required(
            "EndpointConfiguration",
            .structure(
                .required("Url", .text(1...1000, "https://.*", relaxed: "https?://.*")),
                .optional("Name", .text(1...256, #"^(?!\s*$).+"#)),
                .optional("AccessKey", .secret(0...4096, ".*"))
            )
        ),
        .optional(
            "BufferingHints",
            .bufferingHints(sizeInMBs: 1...64, intervalInSeconds: 0...900)
        ),
        .optional("CloudWatchLoggingOptions", .cloudWatchLoggingOptions),
        .optional(
            "RequestConfiguration",
            .structure(
                .optional("ContentEncoding", .values("NONE", "GZIP")),
                .optional(
                    "CommonAttributes",
                    .list(
                        .structure(
                            .required("AttributeName", .text(1...256, #"^(?!\s*$).+"#)),
                            .required("AttributeValue", .text(0...1024, ".*"))
                        ),
                        count: 0...50
                    )
                )
            )
        ),
        .optional("ProcessingConfiguration", .processingConfiguration),
        .optional("RoleARN", .roleARN),
        .optional("RetryOptions", .retryOptions),
        .optional("S3BackupMode", .values("FailedDataOnly", "AllData")),
        .required("S3Configuration", .s3DestinationConfiguration),
        .optional("SecretsManagerConfiguration", .secretsManagerConfiguration)
    )
    static let httpEndpointDestinationUpdate = httpEndpointDestinationConfiguration.asUpdate()

    // MARK: Splunk

    static let splunkDestinationConfiguration = structure(
        .required("HECEndpoint", .text(0...2048, ".*")),
        .required("HECEndpointType", .values("Raw", "Event")),
        .optional("HECToken", .secret(0...2048, ".*")),
        .optional("HECAcknowledgmentTimeoutInSeconds", .integer(180...600)),
        .optional("RetryOptions", .retryOptions),
        .optional("S3BackupMode", .values("FailedEventsOnly", "AllEvents")),
        .required("S3Configuration", .s3DestinationConfiguration),
        .optional("ProcessingConfiguration", .processingConfiguration),
        .optional("CloudWatchLoggingOptions", .cloudWatchLoggingOptions),
        .optional("BufferingHints", .bufferingHints(sizeInMBs: 1...5, intervalInSeconds: 0...60)),
        .optional("SecretsManagerConfiguration", .secretsManagerConfiguration)
    )
    static let splunkDestinationUpdate = splunkDestinationConfiguration.asUpdate()
}
