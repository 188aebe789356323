/// An S3 destination, in the words of ExtendedS3DestinationConfiguration, defaults filled in.
package struct S3Destination: Sendable, Codable, Hashable {
    /// Kept and described back; it means nothing off AWS.
    package var roleARN: String
    /// `arn:aws:s3:::NAME`.
    package var bucketARN: String
    /// The prefix of keys with its expressions, as given.
    package var prefix: String?
    /// The prefix of failed records' keys, as given.
    package var errorOutputPrefix: String?
    /// When a buffer is full.
    package var bufferingHints: BufferingHints
    /// How objects are compressed.
    package var compressionFormat: CompressionFormat
    /// Server-side encryption that is asked of the bucket: a KMS key's ARN, or none.
    package var kmsKeyARN: String?
    /// Replaces the compression's own extension; nil where it was not given.
    package var fileExtension: String?
    /// An IANA zone for timestamps in prefixes; nil where it was not given.
    package var customTimeZone: String?
    /// Kept and described back; it means nothing off AWS.
    package var cloudWatchLogging: CloudWatchLogging

    /// A destination.
    package init(
        roleARN: String,
        bucketARN: String,
        prefix: String? = nil,
        errorOutputPrefix: String? = nil,
        bufferingHints: BufferingHints = BufferingHints(),
        compressionFormat: CompressionFormat = .uncompressed,
        kmsKeyARN: String? = nil,
        fileExtension: String? = nil,
        customTimeZone: String? = nil,
        cloudWatchLogging: CloudWatchLogging = CloudWatchLogging()
    ) {
        self.roleARN = roleARN
        self.bucketARN = bucketARN
        self.prefix = prefix
        self.errorOutputPrefix = errorOutputPrefix
        self.bufferingHints = bufferingHints
        self.compressionFormat = compressionFormat
        self.kmsKeyARN = kmsKeyARN
        self.fileExtension = fileExtension
        self.customTimeZone = customTimeZone
        self.cloudWatchLogging = cloudWatchLogging
    }

    /// The bucket's name: what stands behind `:::` in its ARN.
    package var bucket: String {
        guard let colon = bucketARN.lastIndex(of: ":") else { return bucketARN }
        return String(bucketARN[bucketARN.index(after: colon)...])
    }
}

/// When a buffer goes out: as soon as it has the size or the age, whichever comes first.
package struct BufferingHints: Sendable, Codable, Hashable {
    /// MiB of record data, before compression.
    package var sizeInMBs: Int
    /// Seconds since the first record in the buffer arrived.
    package var intervalInSeconds: Int

    /// Hints; by default AWS's own, 5 MB and 300 s.
    package init(
        sizeInMBs: Int = Limits.defaultBufferSizeMegabytes,
        intervalInSeconds: Int = Limits.defaultBufferIntervalSeconds
    ) {
        self.sizeInMBs = sizeInMBs
        self.intervalInSeconds = intervalInSeconds
    }

    /// The size in bytes.
    package var sizeInBytes: UInt64 { UInt64(sizeInMBs) * 1024 * 1024 }

    package enum CodingKeys: String, CodingKey {
        case sizeInMBs = "SizeInMBs"
        case intervalInSeconds = "IntervalInSeconds"
    }
}

/// How S3 objects are compressed (API model; Snappy's two are not served).
package enum CompressionFormat: String, Sendable, Codable, CaseIterable {
    case uncompressed = "UNCOMPRESSED"
    case gzip = "GZIP"
    case zip = "ZIP"
    case snappy = "Snappy"
    case hadoopSnappy = "HADOOP_SNAPPY"

    /// What a key ends with by default.
    package var defaultExtension: String {
        switch self {
        case .uncompressed: ""
        case .gzip: ".gz"
        case .zip: ".zip"
        case .snappy, .hadoopSnappy: ".snappy"
        }
    }

    /// The object's `Content-Encoding`, as AWS sets it.
    package var contentEncoding: String? {
        switch self {
        case .uncompressed: nil
        case .gzip: "gzip"
        case .zip: "zip"
        case .snappy: "snappy-java"
        case .hadoopSnappy: "hadoop-snappy"
        }
    }
}

/// CloudWatchLoggingOptions: kept and described back.
package struct CloudWatchLogging: Sendable, Codable, Hashable {
    /// Whether logging was asked for.
    package var enabled: Bool
    /// A log group's name.
    package var logGroupName: String?
    /// A log stream's name.
    package var logStreamName: String?

    /// Options; by default off.
    package init(enabled: Bool = false, logGroupName: String? = nil, logStreamName: String? = nil) {
        self.enabled = enabled
        self.logGroupName = logGroupName
        self.logStreamName = logStreamName
    }
}
