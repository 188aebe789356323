internal import Foundation
internal import JSON
internal import Records

extension StreamFile {
    /// Reads a configuration of format 1, which knew S3 destinations alone, member by member.
    static func readFormat1(_ bytes: [UInt8]) throws -> DeliveryStream {
        struct Document: Decodable {
            struct Stream: Decodable {
                var name: String
                var throughputHintInMBs: Int?
                var version: Int
                var createTimestamp: Timestamp
                var lastUpdateTimestamp: Timestamp?
                var destinationShape: DestinationKind
                var destination: JSONValue
                var tags: [DeliveryStream.Tag]
            }
            var stream: Stream
        }
        let old = try JSONDecoder().decode(Document.self, from: Data(bytes)).stream
        var stream = DeliveryStream(
            name: old.name,
            throughputHintInMBs: old.throughputHintInMBs,
            createTimestamp: old.createTimestamp,
            destination: DestinationConfiguration(
                kind: old.destinationShape,
                members: members(old.destination, isExtended: old.destinationShape == .extendedS3)
            ),
            tags: old.tags.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        )
        stream.version = old.version
        stream.lastUpdateTimestamp = old.lastUpdateTimestamp
        return stream
    }

    private static func members(_ old: JSONValue, isExtended: Bool) -> JSONValue {
        let names = [
            "roleARN": "RoleARN", "bucketARN": "BucketARN", "prefix": "Prefix",
            "errorOutputPrefix": "ErrorOutputPrefix", "bufferingHints": "BufferingHints",
            "compressionFormat": "CompressionFormat", "fileExtension": "FileExtension",
            "customTimeZone": "CustomTimeZone",
        ]
        var members: JSONValue = [:]
        for (name, newName) in names { members[newName] = old[name] }
        members["EncryptionConfiguration"] =
            old["kmsKeyARN"].map { ["KMSEncryptionConfig": ["AWSKMSKeyARN": $0]] }
            ?? ["NoEncryptionConfig": "NoEncryption"]
        let logging = old["cloudWatchLogging"]
        var options: JSONValue = ["Enabled": logging?["enabled"] ?? false]
        options["LogGroupName"] = logging?["logGroupName"]
        options["LogStreamName"] = logging?["logStreamName"]
        members["CloudWatchLoggingOptions"] = options
        guard isExtended else { return members }
        if members["CustomTimeZone"] == nil { members["CustomTimeZone"] = "UTC" }
        members["ProcessingConfiguration"] = ["Enabled": false, "Processors": []]
        members["S3BackupMode"] = "Disabled"
        return members
    }
}
