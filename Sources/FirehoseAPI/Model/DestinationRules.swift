internal import JSON
internal import Records

/// What the API's descriptions say of destinations beyond their shapes.
enum DestinationRules {
    /// Refuses members that do not go together, and names them.
    ///
    /// - Parameters:
    ///   - destination: As given, its shape checked.
    ///   - path: The member of the request that it came in.
    /// - Throws: InvalidArgument.
    static func check(
        _ destination: DestinationConfiguration,
        at path: String
    )
        throws(FirehoseError)
    {
        let members = destination.members
        switch destination.kind {
        case .s3, .extendedS3:
            try checkS3(members, at: path)
        case .redshift:
            try checkRedshift(members, at: path)
        case .elasticsearch, .openSearch:
            let count = ["DomainARN", "ClusterEndpoint"].count { members[$0] != nil }
            guard count == 1 else {
                throw FirehoseError(
                    .invalidArgument,
                    "\(path): exactly one of DomainARN and ClusterEndpoint must be specified"
                )
            }
        case .httpEndpoint:
            try checkHints(members, at: path)
        case .splunk:
            break
        }
        for name in ["S3Configuration", "S3BackupConfiguration"] {
            guard let s3 = members[name] else { continue }
            try checkS3(s3, at: "\(path).\(name)")
        }
        if members["S3BackupMode"] == "Enabled", members["S3BackupConfiguration"] == nil {
            throw FirehoseError(
                .invalidArgument,
                "\(path).S3BackupConfiguration must be specified when S3BackupMode is Enabled"
            )
        }
    }

    private static func checkS3(_ members: JSONValue, at path: String) throws(FirehoseError) {
        try checkHints(members, at: path)
        let bucket = S3Destination.bucket(in: members["BucketARN"]?.string ?? "")
        guard bucket != ".", bucket != ".." else {
            throw FirehoseError(.invalidArgument, "\(path).BucketARN names no bucket")
        }
        let encryption = members["EncryptionConfiguration"]
        if encryption?["NoEncryptionConfig"] != nil, encryption?["KMSEncryptionConfig"] != nil {
            throw FirehoseError(
                .invalidArgument,
                "\(path).EncryptionConfiguration: NoEncryptionConfig and KMSEncryptionConfig "
                    + "exclude each other"
            )
        }
    }

    /// The two members come as a pair or not at all (API model, BufferingHints and
    /// HttpEndpointBufferingHints).
    private static func checkHints(_ members: JSONValue, at path: String) throws(FirehoseError) {
        guard let hints = members["BufferingHints"]?.object, hints.count == 1 else { return }
        throw FirehoseError(
            .invalidArgument,
            "\(path).BufferingHints: SizeInMBs and IntervalInSeconds must be given together"
        )
    }

    /// COPY reads neither (API model, RedshiftDestinationConfiguration, S3Configuration).
    private static func checkRedshift(_ members: JSONValue, at path: String) throws(FirehoseError) {
        let format = members["S3Configuration"]?["CompressionFormat"]?.string ?? ""
        guard ["", "UNCOMPRESSED", "GZIP"].contains(format) else {
            throw FirehoseError(
                .invalidArgument,
                "\(path).S3Configuration.CompressionFormat \(format) is not supported for Redshift"
            )
        }
    }

    /// Refuses what must stay as it was created.
    static func checkChange(
        from old: DestinationConfiguration,
        to new: DestinationConfiguration
    )
        throws(FirehoseError)
    {
        guard old.kind.isSearch == new.kind.isSearch else {
            throw FirehoseError(
                .invalidArgument,
                "The destination cannot be changed from \(old.kind.rawValue) to "
                    + "\(new.kind.rawValue)"
            )
        }
        guard old.kind == new.kind || old.kind.isS3 && new.kind.isS3 || old.kind.isSearch else {
            return
        }
        let oldMode = old.members["S3BackupMode"]
        let newMode = new.members["S3BackupMode"]
        let isOneWay = ["Enabled", "AllEvents"].contains(oldMode)
        if oldMode != newMode, isOneWay || old.kind.isSearch {
            throw FirehoseError(
                .invalidArgument,
                "S3BackupMode cannot be changed from \(oldMode?.string ?? "none") to "
                    + (newMode?.string ?? "none")
            )
        }
        func partitions(_ destination: DestinationConfiguration) -> Bool {
            destination.members["DynamicPartitioningConfiguration"]?["Enabled"]?.boolean ?? false
        }
        if partitions(old) != partitions(new) {
            throw FirehoseError(
                .invalidArgument,
                "DynamicPartitioningConfiguration.Enabled cannot be changed after the creation"
            )
        }
        if old.kind.isSearch, old.members["VpcConfiguration"] != new.members["VpcConfiguration"] {
            throw FirehoseError(.invalidArgument, "VpcConfiguration cannot be changed")
        }
    }
}
