import JSON
import Records
import Testing

@Suite struct DestinationDefaultsTests {
    private static let bucket: JSONValue = [
        "RoleARN": "arn:aws:iam::000000000000:role/r", "BucketARN": "arn:aws:s3:::b",
    ]

    @Test(arguments: DestinationKind.allCases)
    func `filling in what is filled in changes nothing`(kind: DestinationKind) {
        var members = Self.bucket
        members["S3Configuration"] = Self.bucket
        members["ProcessingConfiguration"] = [
            "Processors": [
                [
                    "Type": "Lambda",
                    "Parameters": [["ParameterName": "LambdaArn", "ParameterValue": "f"]],
                ]
            ]
        ]
        let filled = DestinationConfiguration(kind: kind, members: members).withDefaults
        #expect(filled.withDefaults == filled)
        #expect(filled.members["ProcessingConfiguration"]?["Enabled"] == true)
    }

    @Test(
        arguments: [
            (.s3, 5, 300), (.extendedS3, 5, 300), (.redshift, 5, 300), (.openSearch, 5, 300),
            (.elasticsearch, 5, 300), (.splunk, 5, 60), (.httpEndpoint, 5, 300),
        ] as [(DestinationKind, Int, Int)]
    )
    func `hints are those of the kind where none are given`(
        kind: DestinationKind,
        megabytes: Int,
        seconds: Int
    ) throws {
        var members = Self.bucket
        members["S3Configuration"] = Self.bucket
        let hints = try DestinationConfiguration(kind: kind, members: members).bufferingHints
        #expect(hints == BufferingHints(sizeInMBs: megabytes, intervalInSeconds: seconds))
    }

    @Test func `where formats are converted, buffers are larger`() throws {
        var members = Self.bucket
        members["DataFormatConversionConfiguration"] = [:]
        let configuration = DestinationConfiguration(kind: .extendedS3, members: members)
        #expect(try configuration.bufferingHints.sizeInMBs == 128)
    }

    @Test(
        arguments: [
            (.extendedS3, "Enabled", "b"), (.redshift, "Enabled", "b"),
            (.openSearch, "AllDocuments", "f"), (.elasticsearch, "AllDocuments", "f"),
            (.splunk, "AllEvents", "f"), (.httpEndpoint, "AllData", "f"),
        ] as [(DestinationKind, String, String)]
    )
    func `a backup goes where the kind's mode says`(
        kind: DestinationKind,
        mode: String,
        bucket: String
    ) throws {
        var members = Self.bucket
        members["S3Configuration"] = ["BucketARN": "arn:aws:s3:::f"]
        members["S3BackupConfiguration"] = ["BucketARN": "arn:aws:s3:::b"]
        let without = DestinationConfiguration(kind: kind, members: members)
        #expect(try without.backup == nil)
        members["S3BackupMode"] = .string(mode)
        let with = DestinationConfiguration(kind: kind, members: members)
        #expect(try with.backup?.bucket == bucket)
    }

    @Test(
        arguments: [
            (["BucketARN": 1], "ExtendedS3DestinationConfiguration.BucketARN"),
            ([:], "ExtendedS3DestinationConfiguration.BucketARN"),
            (
                ["BucketARN": "b", "BufferingHints": ["SizeInMBs": "5"]],
                "ExtendedS3DestinationConfiguration.BufferingHints.SizeInMBs"
            ),
            (
                ["BucketARN": "b", "CompressionFormat": "RAR"],
                "ExtendedS3DestinationConfiguration.CompressionFormat"
            ),
        ] as [(JSONValue, String)]
    )
    func `what is wrong is named`(members: JSONValue, path: String) {
        let error = #expect(throws: FirehoseError.self) {
            try DestinationConfiguration(kind: .extendedS3, members: members).objects
        }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.hasPrefix(path + " ") == true)
    }
}
