package import JSON

/// What AWS says of a kind of destination beyond the shape of its configuration (API model, the
/// members' descriptions).
package struct DestinationModel: Sendable {
    /// The highest `SizeInMBs`.
    package var maximumBufferMegabytes: Int
    /// The structure whose BufferingHints say when a buffer is full; nil for the configuration itself.
    package var bufferingMember: String?
    /// The value of `S3BackupMode` with which records are kept as they were put.
    package var backupMode: String
    /// The member that says where those go.
    package var backupMember: String
    /// The members that are described where nothing was given, and what is meant by leaving them out.
    package var defaults: JSONValue
}

extension DestinationKind {
    /// What AWS says of the kind.
    package var model: DestinationModel {
        switch self {
        case .s3: .s3
        case .extendedS3: .extendedS3
        case .redshift: .redshift
        case .elasticsearch, .openSearch: .search
        case .splunk: .splunk
        case .httpEndpoint: .httpEndpoint
        }
    }

    /// The largest buffer that it takes.
    package var maximumBufferBytes: UInt64 { UInt64(model.maximumBufferMegabytes) * 1024 * 1024 }
}

extension DestinationModel {
    fileprivate static let s3 = DestinationModel(
        maximumBufferMegabytes: Limits.bufferSizeMegabytes.upperBound,
        backupMode: "Enabled",
        backupMember: "S3BackupConfiguration",
        defaults: bucketDefaults
    )

    fileprivate static let extendedS3 = DestinationModel(
        maximumBufferMegabytes: Limits.bufferSizeMegabytes.upperBound,
        backupMode: "Enabled",
        backupMember: "S3BackupConfiguration",
        defaults: common(
            bucketDefaults,
            ["S3BackupMode": "Disabled", "CustomTimeZone": "UTC"]
        )
    )

    fileprivate static let redshift = DestinationModel(
        maximumBufferMegabytes: Limits.bufferSizeMegabytes.upperBound,
        bufferingMember: "S3Configuration",
        backupMode: "Enabled",
        backupMember: "S3BackupConfiguration",
        defaults: common([
            "S3BackupMode": "Disabled", "RetryOptions": retry(Limits.defaultRedshiftRetrySeconds),
        ])
    )

    fileprivate static let search = DestinationModel(
        maximumBufferMegabytes: Limits.searchBufferMegabytes,
        backupMode: "AllDocuments",
        backupMember: "S3Configuration",
        defaults: common([
            "S3BackupMode": "FailedDocumentsOnly", "IndexRotationPeriod": "OneDay",
            "BufferingHints": hints(
                Limits.defaultRecordsBufferSizeMegabytes,
                Limits.defaultRecordsBufferIntervalSeconds
            ),
            "RetryOptions": retry(Limits.defaultRecordsRetrySeconds),
        ])
    )

    fileprivate static let splunk = DestinationModel(
        maximumBufferMegabytes: Limits.splunkBufferMegabytes,
        backupMode: "AllEvents",
        backupMember: "S3Configuration",
        defaults: common([
            "S3BackupMode": "FailedEventsOnly",
            "BufferingHints": hints(
                Limits.defaultRecordsBufferSizeMegabytes,
                Limits.defaultSplunkBufferIntervalSeconds
            ),
            "HECAcknowledgmentTimeoutInSeconds": .integer(
                Limits.defaultSplunkAcknowledgementSeconds
            ),
            "RetryOptions": retry(Limits.defaultRecordsRetrySeconds),
        ])
    )

    fileprivate static let httpEndpoint = DestinationModel(
        maximumBufferMegabytes: Limits.httpEndpointBufferMegabytes,
        backupMode: "AllData",
        backupMember: "S3Configuration",
        defaults: common([
            "S3BackupMode": "FailedDataOnly",
            "BufferingHints": hints(
                Limits.defaultRecordsBufferSizeMegabytes,
                Limits.defaultRecordsBufferIntervalSeconds
            ),
            "RetryOptions": retry(Limits.defaultRecordsRetrySeconds),
            "RequestConfiguration": ["ContentEncoding": "NONE", "CommonAttributes": []],
        ])
    )

    /// Those of an S3DestinationConfiguration, which other kinds have as a member.
    static let bucketDefaults: JSONValue = [
        "BufferingHints": hints(
            Limits.defaultBufferSizeMegabytes,
            Limits.defaultBufferIntervalSeconds
        ),
        "CompressionFormat": "UNCOMPRESSED",
        "EncryptionConfiguration": ["NoEncryptionConfig": "NoEncryption"],
        "CloudWatchLoggingOptions": ["Enabled": false],
    ]

    /// Members of a kind, with those that all have.
    private static func common(_ members: JSONValue...) -> JSONValue {
        var all: JSONValue = [
            "CloudWatchLoggingOptions": ["Enabled": false],
            "ProcessingConfiguration": ["Enabled": false, "Processors": []],
        ]
        for (name, value) in members.flatMap({ $0.object ?? [:] }) { all[name] = value }
        return all
    }

    static func hints(_ megabytes: Int, _ seconds: Int) -> JSONValue {
        ["SizeInMBs": .integer(megabytes), "IntervalInSeconds": .integer(seconds)]
    }

    private static func retry(_ seconds: Int) -> JSONValue {
        ["DurationInSeconds": .integer(seconds)]
    }
}
