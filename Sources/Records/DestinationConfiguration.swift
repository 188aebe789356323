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
        get throws(FirehoseError) {
            kind.isS3 ? try s3 : try bucket("S3Configuration")
        }
    }

    /// Where records go as they were put; nil where that is not asked for.
    package var backup: S3Destination? {
        get throws(FirehoseError) { keepsBackup ? try bucket(kind.model.backupMember) : nil }
    }

    /// Whether records are kept as they were put.
    package var keepsBackup: Bool {
        members["S3BackupMode"] == .string(kind.model.backupMode)
            && members[kind.model.backupMember] != nil
    }

    /// When its buffers are full.
    package var bufferingHints: BufferingHints {
        get throws(FirehoseError) {
            let members = ConfigurationMembers(self)
            guard let name = kind.model.bufferingMember else { return try members.bufferingHints }
            return try members.requiredStructure(name).bufferingHints
        }
    }

    /// What delivery to S3 needs to know; nil for other kinds.
    package var s3: S3Destination? {
        get throws(FirehoseError) {
            kind.isS3 ? try S3Destination(ConfigurationMembers(self)) : nil
        }
    }

    private func bucket(_ name: String) throws(FirehoseError) -> S3Destination? {
        guard let members = try ConfigurationMembers(self).structure(name) else { return nil }
        return try S3Destination(members)
    }
}
