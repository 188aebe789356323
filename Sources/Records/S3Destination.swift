/// What delivery needs to know of an S3 destination.
package struct S3Destination: Sendable, Hashable {
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

    /// A destination.
    package init(
        bucketARN: String,
        prefix: String? = nil,
        errorOutputPrefix: String? = nil,
        bufferingHints: BufferingHints = BufferingHints(),
        compressionFormat: CompressionFormat = .uncompressed,
        kmsKeyARN: String? = nil,
        fileExtension: String? = nil,
        customTimeZone: String? = nil
    ) {
        self.bucketARN = bucketARN
        self.prefix = prefix
        self.errorOutputPrefix = errorOutputPrefix
        self.bufferingHints = bufferingHints
        self.compressionFormat = compressionFormat
        self.kmsKeyARN = kmsKeyARN
        self.fileExtension = fileExtension
        self.customTimeZone = customTimeZone
    }

    /// Reads an S3DestinationConfiguration or ExtendedS3DestinationConfiguration (API model).
    ///
    /// - Throws: InvalidArgument, which names the member.
    package init(_ members: ConfigurationMembers) throws(FirehoseError) {
        self.init(
            bucketARN: try members.required("BucketARN"),
            prefix: try members.text("Prefix"),
            errorOutputPrefix: try members.text("ErrorOutputPrefix"),
            bufferingHints: try members.bufferingHints,
            compressionFormat: try members.requiredChoice("CompressionFormat"),
            kmsKeyARN: try members.structure("EncryptionConfiguration")?
                .structure("KMSEncryptionConfig")?.text("AWSKMSKeyARN"),
            fileExtension: try members.text("FileExtension"),
            customTimeZone: try members.text("CustomTimeZone")
        )
    }

    /// The bucket's name: what stands behind `:::` in its ARN.
    package var bucket: String { Self.bucket(in: bucketARN) }

    /// The bucket's name in an ARN.
    package static func bucket(in arn: String) -> String {
        guard let colon = arn.lastIndex(of: ":") else { return arn }
        return String(arn[arn.index(after: colon)...])
    }
}

/// When a buffer goes out: as soon as it has the size or the age, whichever comes first.
package struct BufferingHints: Sendable, Hashable {
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
