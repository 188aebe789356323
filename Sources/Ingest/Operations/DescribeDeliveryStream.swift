internal import Records

/// DescribeDeliveryStream (API reference).
struct DescribeDeliveryStreamRequest: Decodable {
    var name: String?
    var limit: Int?
    var startDestinationID: String?

    enum CodingKeys: String, CodingKey {
        case name = "DeliveryStreamName"
        case limit = "Limit"
        case startDestinationID = "ExclusiveStartDestinationId"
    }
}

struct DescribeDeliveryStreamAnswer: Encodable {
    struct Source: Encodable {
        struct DirectPut: Encodable {
            var throughputHintInMBs: Int
            enum CodingKeys: String, CodingKey { case throughputHintInMBs = "ThroughputHintInMBs" }
        }
        var directPut: DirectPut
        enum CodingKeys: String, CodingKey { case directPut = "DirectPutSourceDescription" }
    }

    struct Destination: Encodable {
        var id = "destinationId-000000000001"
        var s3: S3DestinationDescription
        var extendedS3: S3DestinationDescription
        enum CodingKeys: String, CodingKey {
            case id = "DestinationId"
            case s3 = "S3DestinationDescription"
            case extendedS3 = "ExtendedS3DestinationDescription"
        }
    }

    struct Description: Encodable {
        var name: String
        var arn: String
        var status: String
        var encryption = ["Status": "DISABLED"]
        var type: String
        var version: String
        /// Seconds since the epoch, as JSON 1.1 has timestamps.
        var created: Double
        var updated: Double?
        var source: Source?
        var destinations: [Destination]
        var hasMoreDestinations = false

        enum CodingKeys: String, CodingKey {
            case name = "DeliveryStreamName"
            case arn = "DeliveryStreamARN"
            case status = "DeliveryStreamStatus"
            case encryption = "DeliveryStreamEncryptionConfiguration"
            case type = "DeliveryStreamType"
            case version = "VersionId"
            case created = "CreateTimestamp"
            case updated = "LastUpdateTimestamp"
            case source = "Source"
            case destinations = "Destinations"
            case hasMoreDestinations = "HasMoreDestinations"
        }
    }

    var description: Description
    enum CodingKeys: String, CodingKey { case description = "DeliveryStreamDescription" }
}

/// S3DestinationDescription, and with the further members ExtendedS3DestinationDescription.
struct S3DestinationDescription: Encodable {
    struct Processing: Encodable {
        var enabled = false
        var processors: [String] = []
        enum CodingKeys: String, CodingKey {
            case enabled = "Enabled"
            case processors = "Processors"
        }
    }

    var roleARN: String
    var bucketARN: String
    var prefix: String?
    var errorOutputPrefix: String?
    var hints: BufferingHints
    var compressionFormat: CompressionFormat
    var encryption: S3DestinationShape.Encryption
    var logging: S3DestinationShape.Logging
    var processing: Processing?
    var backupMode: String?
    var fileExtension: String?
    var customTimeZone: String?

    enum CodingKeys: String, CodingKey {
        case roleARN = "RoleARN"
        case bucketARN = "BucketARN"
        case prefix = "Prefix"
        case errorOutputPrefix = "ErrorOutputPrefix"
        case hints = "BufferingHints"
        case compressionFormat = "CompressionFormat"
        case encryption = "EncryptionConfiguration"
        case logging = "CloudWatchLoggingOptions"
        case processing = "ProcessingConfiguration"
        case backupMode = "S3BackupMode"
        case fileExtension = "FileExtension"
        case customTimeZone = "CustomTimeZone"
    }

    init(_ destination: S3Destination, isExtended: Bool) {
        roleARN = destination.roleARN
        bucketARN = destination.bucketARN
        prefix = destination.prefix
        errorOutputPrefix = destination.errorOutputPrefix
        hints = destination.bufferingHints
        compressionFormat = destination.compressionFormat
        encryption =
            if let arn = destination.kmsKeyARN {
                .init(none: nil, key: .init(arn: arn))
            } else {
                .init(none: "NoEncryption", key: nil)
            }
        let logging = destination.cloudWatchLogging
        self.logging = .init(
            enabled: logging.enabled,
            group: logging.logGroupName,
            stream: logging.logStreamName
        )
        guard isExtended else { return }
        processing = Processing()
        backupMode = "Disabled"
        fileExtension = destination.fileExtension
        customTimeZone = destination.customTimeZone ?? "UTC"
    }
}

extension ControlPlane {
    func describe(
        _ request: DescribeDeliveryStreamRequest
    ) throws(FirehoseError)
        -> DescribeDeliveryStreamAnswer
    {
        let name = try Self.name(request.name) { problems in
            problems.check(request.limit, in: 1...10_000, at: "limit")
            problems.check(
                request.startDestinationID,
                length: 1...100,
                at: "exclusiveStartDestinationId"
            )
        }
        let (stream, status) = try registry.describe(name)
        let destination = DescribeDeliveryStreamAnswer.Destination(
            s3: S3DestinationDescription(stream.destination, isExtended: false),
            extendedS3: S3DestinationDescription(stream.destination, isExtended: true)
        )
        return DescribeDeliveryStreamAnswer(
            description: .init(
                name: stream.name,
                arn: registry.identity.arn(ofStream: stream.name),
                status: status.rawValue,
                type: stream.source.rawValue,
                version: String(stream.version),
                created: Double(stream.createTimestamp.milliseconds) / 1000,
                updated: stream.lastUpdateTimestamp.map { Double($0.milliseconds) / 1000 },
                source: stream.throughputHintInMBs.map {
                    .init(directPut: .init(throughputHintInMBs: $0))
                },
                destinations: [destination]
            )
        )
    }

    /// The name that a request must have, with what else `further` checks.
    static func name(
        _ name: String?,
        _ further: (inout ConstraintViolations) -> Void = { _ in }
    ) throws(FirehoseError) -> String {
        var problems = ConstraintViolations()
        if let name {
            problems.checkStreamName(name, at: "deliveryStreamName")
        } else {
            problems.add(.null, at: "deliveryStreamName")
        }
        further(&problems)
        try problems.check()
        return name ?? ""
    }
}
