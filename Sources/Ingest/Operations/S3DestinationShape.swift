internal import Records

/// S3DestinationConfiguration and ExtendedS3DestinationConfiguration, as they come: nothing checked.
struct S3DestinationShape: Decodable {
    struct Hints: Decodable {
        var sizeInMBs: Int?
        var intervalInSeconds: Int?
        enum CodingKeys: String, CodingKey {
            case sizeInMBs = "SizeInMBs"
            case intervalInSeconds = "IntervalInSeconds"
        }
    }

    struct Encryption: Codable {
        struct Key: Codable {
            var arn: String?
            enum CodingKeys: String, CodingKey { case arn = "AWSKMSKeyARN" }
        }
        var none: String?
        var key: Key?
        enum CodingKeys: String, CodingKey {
            case none = "NoEncryptionConfig"
            case key = "KMSEncryptionConfig"
        }
    }

    struct Logging: Codable {
        var enabled: Bool?
        var group: String?
        var stream: String?
        enum CodingKeys: String, CodingKey {
            case enabled = "Enabled"
            case group = "LogGroupName"
            case stream = "LogStreamName"
        }
    }

    /// A configuration that may be given as long as it is switched off.
    struct Switch: Decodable {
        struct Item: Decodable {}
        var enabled: Bool?
        var processors: [Item]?
        enum CodingKeys: String, CodingKey {
            case enabled = "Enabled"
            case processors = "Processors"
        }
    }

    struct Present: Decodable {}

    var roleARN: String?
    var bucketARN: String?
    var prefix: String?
    var errorOutputPrefix: String?
    var hints: Hints?
    var compressionFormat: String?
    var encryption: Encryption?
    var logging: Logging?
    var fileExtension: String?
    var customTimeZone: String?
    var processing: Switch?
    var backupMode: String?
    var backup: Present?
    var partitioning: Switch?
    var conversion: Switch?

    enum CodingKeys: String, CodingKey {
        case roleARN = "RoleARN"
        case bucketARN = "BucketARN"
        case prefix = "Prefix"
        case errorOutputPrefix = "ErrorOutputPrefix"
        case hints = "BufferingHints"
        case compressionFormat = "CompressionFormat"
        case encryption = "EncryptionConfiguration"
        case logging = "CloudWatchLoggingOptions"
        case fileExtension = "FileExtension"
        case customTimeZone = "CustomTimeZone"
        case processing = "ProcessingConfiguration"
        case backupMode = "S3BackupMode"
        case backup = "S3BackupConfiguration"
        case partitioning = "DynamicPartitioningConfiguration"
        case conversion = "DataFormatConversionConfiguration"
    }

    /// Notes what breaks the model's constraints.
    ///
    /// Role ARNs may be of any account.
    func check(_ problems: inout ConstraintViolations, at path: String) {
        if roleARN == nil { problems.add(.null, at: "\(path).roleARN") }
        problems.check(roleARN, length: 1...512, at: "\(path).roleARN")
        checkBucket(&problems, at: "\(path).bucketARN")
        let prefixLength = 0...Limits.maximumPrefixCharacters
        problems.check(prefix, length: prefixLength, at: "\(path).prefix")
        problems.check(errorOutputPrefix, length: prefixLength, at: "\(path).errorOutputPrefix")
        problems.check(
            hints?.sizeInMBs,
            in: Limits.bufferSizeMegabytes,
            at: "\(path).bufferingHints.sizeInMBs"
        )
        problems.check(
            hints?.intervalInSeconds,
            in: 0...Limits.maximumBufferIntervalSeconds,
            at: "\(path).bufferingHints.intervalInSeconds"
        )
        Self.check(
            compressionFormat,
            CompressionFormat.allCases.map(\.rawValue),
            at: "\(path).compressionFormat",
            &problems
        )
        Self.check(
            backupMode,
            ["Disabled", "Enabled"],
            at: "\(path).s3BackupMode",
            &problems
        )
        Self.check(
            encryption?.none,
            ["NoEncryption"],
            at: "\(path).encryptionConfiguration.noEncryptionConfig",
            &problems
        )
        if let arn = encryption?.key?.arn {
            let path = "\(path).encryptionConfiguration.kMSEncryptionConfig.aWSKMSKeyARN"
            problems.check(arn, length: 1...512, at: path)
            if !arn.hasPrefix("arn:") || arn.utf8.contains(where: { !(0x21...0x7e).contains($0) }) {
                problems.add(
                    .pattern(
                        value: arn,
                        pattern:
                            #"arn:.*:kms:[a-zA-Z0-9\-]+:\d{12}:(key|alias)/[a-zA-Z_0-9+=,.@\-_/]+"#
                    ),
                    at: path
                )
            }
        }
        if let key = encryption?.key, key.arn == nil {
            problems.add(
                .null,
                at: "\(path).encryptionConfiguration.kMSEncryptionConfig.aWSKMSKeyARN"
            )
        }
        problems.check(fileExtension, length: 0...128, at: "\(path).fileExtension")
        if let fileExtension, !Self.isFileExtension(fileExtension) {
            problems.add(
                .pattern(value: fileExtension, pattern: #"^$|\.[0-9a-z!\-_.*'()]+"#),
                at: "\(path).fileExtension"
            )
        }
        problems.check(customTimeZone, length: 0...50, at: "\(path).customTimeZone")
        if let customTimeZone, !customTimeZone.utf8.allSatisfy(Self.isZoneCharacter) {
            problems.add(
                .pattern(value: customTimeZone, pattern: "^$|[a-zA-Z/_]+"),
                at: "\(path).customTimeZone"
            )
        }
    }

    private func checkBucket(_ problems: inout ConstraintViolations, at path: String) {
        guard let bucketARN else { return problems.add(.null, at: path) }
        problems.check(bucketARN, length: 1...2048, at: path)
        let parts = bucketARN.split(separator: ":", omittingEmptySubsequences: false)
        let name = parts.last ?? ""
        let isRight =
            parts.count >= 6 && parts[0] == "arn" && parts.dropFirst(parts.count - 4).first == "s3"
            && parts.dropFirst(parts.count - 3).prefix(2).allSatisfy(\.isEmpty)
            && (1...255).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                DeliveryStream.isValidName(String(UnicodeScalar(byte)))
            }
            && name != "." && name != ".."
        if !isRight {
            problems.add(
                .pattern(value: bucketARN, pattern: #"arn:.*:s3:::[\w\.\-]{1,255}"#),
                at: path
            )
        }
    }

    private static func isZoneCharacter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
            || byte == UInt8(ascii: "/") || byte == UInt8(ascii: "_")
    }

    private static func isFileExtension(_ text: String) -> Bool {
        guard !text.isEmpty else { return true }
        let others = "!-_.*'()".utf8
        return text.hasPrefix(".") && text.utf8.count > 1
            && text.utf8.dropFirst().allSatisfy { byte in
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                    || others.contains(byte)
            }
    }

    private static func check(
        _ value: String?,
        _ allowed: [String],
        at path: String,
        _ problems: inout ConstraintViolations
    ) {
        guard let value, !allowed.contains(value) else { return }
        problems.add(.enumeration(value: value, allowed: allowed), at: path)
    }

    /// The destination with defaults filled in, once `check` found nothing.
    ///
    /// - Throws: InvalidArgumentException that names a member which this server does not have.
    func destination(_ name: String) throws(FirehoseError) -> S3Destination {
        if processing?.enabled ?? false || !(processing?.processors ?? []).isEmpty {
            throw Self.unsupported(name, "ProcessingConfiguration")
        }
        if backupMode == "Enabled" { throw Self.unsupported(name, "S3BackupMode Enabled") }
        if backup != nil { throw Self.unsupported(name, "S3BackupConfiguration") }
        if partitioning?.enabled ?? false {
            throw Self.unsupported(name, "DynamicPartitioningConfiguration")
        }
        // Left out, Enabled is true here (API model).
        if let conversion, conversion.enabled ?? true {
            throw Self.unsupported(name, "DataFormatConversionConfiguration")
        }
        return S3Destination(
            roleARN: roleARN ?? "",
            bucketARN: bucketARN ?? "",
            prefix: prefix,
            errorOutputPrefix: errorOutputPrefix,
            bufferingHints: try bufferingHints(name),
            compressionFormat: compressionFormat.flatMap(CompressionFormat.init(rawValue:))
                ?? .uncompressed,
            kmsKeyARN: encryption?.key?.arn,
            fileExtension: fileExtension,
            customTimeZone: customTimeZone,
            cloudWatchLogging: CloudWatchLogging(
                enabled: logging?.enabled ?? false,
                logGroupName: logging?.group,
                logStreamName: logging?.stream
            )
        )
    }

    /// The two members come as a pair or not at all (API model, BufferingHints).
    private func bufferingHints(_ name: String) throws(FirehoseError) -> BufferingHints {
        switch (hints?.sizeInMBs, hints?.intervalInSeconds) {
        case (nil, nil): return BufferingHints()
        case (let size?, let interval?):
            return BufferingHints(sizeInMBs: size, intervalInSeconds: interval)
        default:
            throw FirehoseError(
                .invalidArgument,
                "\(name).BufferingHints: SizeInMBs and IntervalInSeconds must be given together"
            )
        }
    }

    private static func unsupported(_ name: String, _ member: String) -> FirehoseError {
        FirehoseError(.invalidArgument, "\(name).\(member) is not supported")
    }
}
