internal import Records

/// CreateDeliveryStream (API reference).
struct CreateDeliveryStreamRequest: Decodable {
    struct DirectPutSource: Decodable {
        var throughputHintInMBs: Int?
        enum CodingKeys: String, CodingKey { case throughputHintInMBs = "ThroughputHintInMBs" }
    }

    var name: String?
    var type: String?
    var directPutSource: DirectPutSource?
    var s3: S3DestinationShape?
    var extendedS3: S3DestinationShape?
    var tags: [DeliveryStream.Tag]?
    /// Members of the model that are given and that this server does not have.
    var unsupportedDestinations: [String]
    var unsupported: [String]

    enum CodingKeys: String, CodingKey, CaseIterable {
        case name = "DeliveryStreamName"
        case type = "DeliveryStreamType"
        case directPutSource = "DirectPutSourceConfiguration"
        case s3 = "S3DestinationConfiguration"
        case extendedS3 = "ExtendedS3DestinationConfiguration"
        case tags = "Tags"
        case kinesis = "KinesisStreamSourceConfiguration"
        case msk = "MSKSourceConfiguration"
        case database = "DatabaseSourceConfiguration"
        case encryption = "DeliveryStreamEncryptionConfigurationInput"
        case redshift = "RedshiftDestinationConfiguration"
        case elasticsearch = "ElasticsearchDestinationConfiguration"
        case openSearch = "AmazonopensearchserviceDestinationConfiguration"
        case serverless = "AmazonOpenSearchServerlessDestinationConfiguration"
        case splunk = "SplunkDestinationConfiguration"
        case httpEndpoint = "HttpEndpointDestinationConfiguration"
        case snowflake = "SnowflakeDestinationConfiguration"
        case iceberg = "IcebergDestinationConfiguration"
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        name = try container.decodeIfPresent(String.self, forKey: .name)
        type = try container.decodeIfPresent(String.self, forKey: .type)
        directPutSource = try container.decodeIfPresent(
            DirectPutSource.self,
            forKey: .directPutSource
        )
        s3 = try container.decodeIfPresent(S3DestinationShape.self, forKey: .s3)
        extendedS3 = try container.decodeIfPresent(S3DestinationShape.self, forKey: .extendedS3)
        tags = try container.decodeIfPresent([DeliveryStream.Tag].self, forKey: .tags)
        func given(_ keys: [CodingKeys]) throws -> [String] {
            try keys.filter { try container.contains($0) && !container.decodeNil(forKey: $0) }
                .map(\.rawValue)
        }
        unsupported = try given([.kinesis, .msk, .database, .encryption])
        unsupportedDestinations = try given([
            .redshift, .elasticsearch, .openSearch, .serverless, .splunk, .httpEndpoint,
            .snowflake, .iceberg,
        ])
    }
}

struct CreateDeliveryStreamAnswer: Encodable {
    var arn: String
    enum CodingKeys: String, CodingKey { case arn = "DeliveryStreamARN" }
}

extension ControlPlane {
    func create(
        _ request: CreateDeliveryStreamRequest
    ) async throws(FirehoseError)
        -> CreateDeliveryStreamAnswer
    {
        let stream = try stream(from: request)
        try await registry.create(stream)
        return CreateDeliveryStreamAnswer(arn: registry.identity.arn(ofStream: stream.name))
    }

    private func stream(
        from request: CreateDeliveryStreamRequest
    ) throws(FirehoseError)
        -> DeliveryStream
    {
        var problems = ConstraintViolations()
        if let name = request.name {
            problems.checkStreamName(name, at: "deliveryStreamName")
        } else {
            problems.add(.null, at: "deliveryStreamName")
        }
        let types = ["DirectPut", "KinesisStreamAsSource", "MSKAsSource", "DatabaseAsSource"]
        if let type = request.type, !types.contains(type) {
            problems.add(.enumeration(value: type, allowed: types), at: "deliveryStreamType")
        }
        problems.check(
            request.directPutSource?.throughputHintInMBs,
            in: 1...100,
            at: "directPutSourceConfiguration.throughputHintInMBs"
        )
        Self.checkTags(request.tags ?? [], &problems)
        request.s3?.check(&problems, at: "s3DestinationConfiguration")
        request.extendedS3?.check(&problems, at: "extendedS3DestinationConfiguration")
        try problems.check()
        if let type = request.type, type != "DirectPut" {
            throw FirehoseError(
                .invalidArgument,
                "DeliveryStreamType \(type) is not supported; use DirectPut"
            )
        }
        if let member = request.unsupported.first {
            throw FirehoseError(.invalidArgument, "\(member) is not supported")
        }
        let (shape, destination) = try destination(of: request)
        return DeliveryStream(
            name: request.name ?? "",
            source: .directPut,
            throughputHintInMBs: request.directPutSource?.throughputHintInMBs,
            createTimestamp: time.now(),
            destinationShape: shape,
            destination: destination,
            tags: request.tags ?? []
        )
    }

    private func destination(
        of request: CreateDeliveryStreamRequest
    ) throws(FirehoseError) -> (
        DeliveryStream.DestinationShape, S3Destination
    ) {
        let count =
            (request.s3 == nil ? 0 : 1) + (request.extendedS3 == nil ? 0 : 1)
            + request.unsupportedDestinations.count
        guard count == 1 else {
            throw FirehoseError(
                .invalidArgument,
                "Exactly one destination configuration is supported for a Firehose"
            )
        }
        if let s3 = request.s3 {
            return (.s3, try s3.destination("S3DestinationConfiguration"))
        }
        if let extendedS3 = request.extendedS3 {
            return (
                .extendedS3, try extendedS3.destination("ExtendedS3DestinationConfiguration")
            )
        }
        throw FirehoseError(
            .invalidArgument,
            "\(request.unsupportedDestinations[0]) is not supported"
        )
    }

    private static func checkTags(
        _ tags: [DeliveryStream.Tag],
        _ problems: inout ConstraintViolations
    ) {
        if tags.count > Limits.maximumTags {
            problems.add(
                .tooLong(value: "[\(tags.count) tags]", maximum: Limits.maximumTags),
                at: "tags"
            )
        }
        for (index, tag) in tags.enumerated() {
            problems.check(tag.key, length: 1...128, at: "tags.\(index + 1).member.key")
            problems.check(tag.value, length: 0...256, at: "tags.\(index + 1).member.value")
        }
    }
}
