internal import JSON
package import Records

extension DestinationConfiguration {
    /// An ExtendedS3 destination that says the same as a typed one.
    package static func s3(_ destination: S3Destination) -> DestinationConfiguration {
        var members: JSONValue = [
            "RoleARN": "arn:aws:iam::000000000000:role/delivery",
            "BucketARN": .string(destination.bucketARN),
            "BufferingHints": [
                "SizeInMBs": .integer(destination.bufferingHints.sizeInMBs),
                "IntervalInSeconds": .integer(destination.bufferingHints.intervalInSeconds),
            ],
            "CompressionFormat": .string(destination.compressionFormat.rawValue),
        ]
        members["Prefix"] = destination.prefix.map { .string($0) }
        members["ErrorOutputPrefix"] = destination.errorOutputPrefix.map { .string($0) }
        members["FileExtension"] = destination.fileExtension.map { .string($0) }
        members["CustomTimeZone"] = destination.customTimeZone.map { .string($0) }
        members["EncryptionConfiguration"] = destination.kmsKeyARN.map { arn in
            ["KMSEncryptionConfig": ["AWSKMSKeyARN": .string(arn)]]
        }
        return DestinationConfiguration(kind: .extendedS3, members: members)
    }
}
