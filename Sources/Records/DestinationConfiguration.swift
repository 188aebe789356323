package import JSON

/// Which kind of destination a stream has; the raw value begins the names of its shapes.
package enum DestinationKind: String, Sendable, Codable, CaseIterable {
    case s3 = "S3"
    case extendedS3 = "ExtendedS3"
    case redshift = "Redshift"
    case elasticsearch = "Elasticsearch"
    case openSearch = "Amazonopensearchservice"
    case splunk = "Splunk"
    case httpEndpoint = "HttpEndpoint"

    /// The member of CreateDeliveryStream.
    package var configurationMember: String { rawValue + "DestinationConfiguration" }
    /// The member of UpdateDestination.
    package var updateMember: String { rawValue + "DestinationUpdate" }
    /// The member of a described destination.
    package var descriptionMember: String { rawValue + "DestinationDescription" }
    /// S3 in one of its two shapes, which are one kind of destination.
    package var isS3: Bool { self == .s3 || self == .extendedS3 }
    /// The largest buffer that it takes (API model).
    package var maximumBufferBytes: UInt64 {
        let megabytes =
            switch self {
            case .s3, .extendedS3, .redshift: Limits.bufferSizeMegabytes.upperBound
            case .elasticsearch, .openSearch: Limits.searchBufferMegabytes
            case .httpEndpoint: Limits.httpEndpointBufferMegabytes
            case .splunk: Limits.splunkBufferMegabytes
            }
        return UInt64(megabytes) * 1024 * 1024
    }
    /// Elasticsearch under one of its two names, which are one kind of destination.
    package var isSearch: Bool { self == .elasticsearch || self == .openSearch }
}

/// A destination as its owner configured it, defaults filled in.
package struct DestinationConfiguration: Sendable, Codable, Hashable {
    /// Which kind it is.
    package var kind: DestinationKind
    /// The members of the kind's `...DestinationConfiguration` (API model), by AWS's names.
    package var members: JSONValue

    /// A destination of a kind, with the members of its configuration.
    package init(kind: DestinationKind, members: JSONValue) {
        self.kind = kind
        self.members = members
    }

    /// Where its objects go: the destination itself, or the bucket of failed records and backups.
    package var objects: S3Destination? {
        kind.isS3 ? s3 : members["S3Configuration"].map { S3Destination($0) }
    }

    /// When its buffers are full.
    package var bufferingHints: BufferingHints {
        // Redshift's own are those of its bucket (API model).
        let hints =
            kind == .redshift
            ? members["S3Configuration"]?["BufferingHints"] : members["BufferingHints"]
        return BufferingHints(
            sizeInMBs: hints?["SizeInMBs"]?.integer ?? Limits.defaultBufferSizeMegabytes,
            intervalInSeconds: hints?["IntervalInSeconds"]?.integer
                ?? Limits.defaultBufferIntervalSeconds
        )
    }

    /// What delivery to S3 needs to know; nil for other kinds.
    package var s3: S3Destination? { kind.isS3 ? S3Destination(members) : nil }
}
