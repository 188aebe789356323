internal import JSON
internal import Records

/// What the operations take.
extension Shape {
    static let createDeliveryStream = structure(
        .required("DeliveryStreamName", .deliveryStreamName),
        .optional("DeliveryStreamType", .deliveryStreamType),
        .optional(
            "DirectPutSourceConfiguration",
            .structure(.required("ThroughputHintInMBs", .integer(1...100)))
        ),
        .optional("KinesisStreamSourceConfiguration", .refused),
        .optional("MSKSourceConfiguration", .refused),
        .optional("DatabaseSourceConfiguration", .refused),
        .optional("DeliveryStreamEncryptionConfigurationInput", .encryptionInput),
        .optional("S3DestinationConfiguration", .s3DestinationConfiguration),
        .optional("ExtendedS3DestinationConfiguration", .extendedS3DestinationConfiguration),
        .optional("RedshiftDestinationConfiguration", .redshiftDestinationConfiguration),
        .optional("ElasticsearchDestinationConfiguration", .elasticsearchDestinationConfiguration),
        .optional(
            "AmazonopensearchserviceDestinationConfiguration",
            .openSearchDestinationConfiguration
        ),
        .optional("SplunkDestinationConfiguration", .splunkDestinationConfiguration),
        .optional("HttpEndpointDestinationConfiguration", .httpEndpointDestinationConfiguration),
        .optional("AmazonOpenSearchServerlessDestinationConfiguration", .refused),
        .optional("SnowflakeDestinationConfiguration", .refused),
        .optional("IcebergDestinationConfiguration", .refused),
        .optional("Tags", .tags)
    )

    static let updateDestination = structure(
        .required("DeliveryStreamName", .deliveryStreamName),
        .required("CurrentDeliveryStreamVersionId", .text(1...50, "[0-9]+")),
        .required("DestinationId", .destinationID),
        .optional("S3DestinationUpdate", .s3DestinationUpdate),
        .optional("ExtendedS3DestinationUpdate", .extendedS3DestinationUpdate),
        .optional("RedshiftDestinationUpdate", .redshiftDestinationUpdate),
        .optional("ElasticsearchDestinationUpdate", .elasticsearchDestinationUpdate),
        .optional("AmazonopensearchserviceDestinationUpdate", .openSearchDestinationUpdate),
        .optional("SplunkDestinationUpdate", .splunkDestinationUpdate),
        .optional("HttpEndpointDestinationUpdate", .httpEndpointDestinationUpdate),
        .optional("AmazonOpenSearchServerlessDestinationUpdate", .refused),
        .optional("SnowflakeDestinationUpdate", .refused),
        .optional("IcebergDestinationUpdate", .refused)
    )

    static let deleteDeliveryStream = structure(
        .required("DeliveryStreamName", .deliveryStreamName),
        .optional("AllowForceDelete", .boolean)
    )

    static let describeDeliveryStream = structure(
        .required("DeliveryStreamName", .deliveryStreamName),
        .optional("Limit", .integer(1...10_000)),
        .optional("ExclusiveStartDestinationId", .destinationID)
    )

    static let listDeliveryStreams = structure(
        .optional("Limit", .integer(Limits.listLimit)),
        .optional("DeliveryStreamType", .deliveryStreamType),
        .optional("ExclusiveStartDeliveryStreamName", .deliveryStreamName)
    )

    static let listTagsForDeliveryStream = structure(
        .required("DeliveryStreamName", .deliveryStreamName),
        .optional("ExclusiveStartTagKey", .tagKey),
        .optional("Limit", .integer(1...Limits.maximumTags))
    )

    static let tagDeliveryStream = structure(
        .required("DeliveryStreamName", .deliveryStreamName),
        .required("Tags", .tags)
    )

    static let untagDeliveryStream = structure(
        .required("DeliveryStreamName", .deliveryStreamName),
        .required("TagKeys", .tagKeys)
    )

    static let startDeliveryStreamEncryption = structure(
        .required("DeliveryStreamName", .deliveryStreamName),
        .optional("DeliveryStreamEncryptionConfigurationInput", .encryptionInput)
    )

    static let stopDeliveryStreamEncryption = structure(
        .required("DeliveryStreamName", .deliveryStreamName)
    )

    static let flushDeliveryStream = structure(
        .required("DeliveryStreamName", .deliveryStreamName),
        .optional("Token", .text(1...200, "[0-9a-f.]+"))
    )

    static let tailDeliveryStream = structure(
        .required("DeliveryStreamName", .deliveryStreamName),
        .optional("NextToken", .text(1...200, "[0-9a-f.]+"))
    )

    private static let destinationID = text(1...100, "[a-zA-Z0-9-]+")
}
