package import Destinations
internal import JSON
package import Records

/// What is loaded into a warehouse once a buffer's object is stored.
package struct CopyPlan: Sendable, Codable, Hashable {
    /// The warehouse, the table and who we are there.
    package var destination: DestinationConfiguration
    /// The list of the one object, which COPY reads.
    package var manifest: ObjectPlan
    /// The same list, where the object could not be loaded.
    package var errorManifest: ObjectPlan

    /// The folder of manifests under a stream's prefix.
    package static let manifests = "manifests/"
    /// The folder of those that could not be loaded (the developer guide has `errors/`; tools for
    /// back-fills list this).
    package static let errorManifests = "errors/manifests/"
    /// The folder of those that a back-fill has loaded.
    package static let loadedManifests = "errors/manifests-loaded/"

    private static let suffix = "-manifest"
    /// Bytes that a manifest's key is longer than its object's, at the most.
    package static let longestAddition = loadedManifests.utf8.count + suffix.utf8.count

    private static let members = [
        "ClusterJDBCURL", "CopyCommand", "Username", "Password", "RoleARN", "RetryOptions",
    ]

    /// A plan whose manifests are known.
    package init(
        _ destination: DestinationConfiguration,
        manifest: ObjectPlan,
        errorManifest: ObjectPlan
    ) {
        self.destination = destination
        self.manifest = manifest
        self.errorManifest = errorManifest
    }

    /// A plan for an object.
    ///
    /// The manifests have the object's name, so that each goes with one object.
    init(
        _ destination: DestinationConfiguration,
        object: ObjectPlan,
        manifests: KeyTemplate,
        errorManifests: KeyTemplate
    ) {
        var members: JSONValue = [:]
        for name in Self.members { members[name] = destination.members[name] }
        self.destination = DestinationConfiguration(kind: destination.kind, members: members)
        var name = object.key.split(separator: "/").last.map(String.init) ?? object.key
        let suffix = object.compression.defaultExtension
        if !suffix.isEmpty, name.hasSuffix(suffix) { name.removeLast(suffix.count) }
        func plan(_ template: KeyTemplate) -> ObjectPlan {
            var plan = object
            plan.key = template.evaluate(arrival: object.arrival, offsetSeconds: 0) { "" }
            plan.key += name + Self.suffix
            plan.compression = .uncompressed
            plan.recordDelimiter = nil
            return plan
        }
        manifest = plan(manifests)
        errorManifest = plan(errorManifests)
    }

    /// What a manifest says (Redshift database developer guide, "Using a manifest to specify data
    /// files").
    func content(of object: ObjectPlan, byteCount: UInt64) -> [UInt8] {
        let url = JSONText.quoted(object.url)
        return Array(
            """
            {"entries":[{"url":\(url),"mandatory":true,"meta":{"content_length":\(byteCount)}}]}
            """.utf8
        )
    }
}

/// How far the load of a buffer's object has come.
package struct LoadState: Sendable, Codable, Hashable {
    /// Records and their bytes, for the log.
    package var records: Int
    /// See `records`.
    package var bytes: UInt64
    /// Bytes of the object.
    package var objectBytes: UInt64
    /// The number of the attempt that was begun last; one whose end is not known keeps its number.
    package var number = 0
    /// Whether that attempt's end is not known.
    package var isOpen = false
    /// How many there were.
    package var attempts = 0
    /// When the first was; retries end so long after.
    package var firstAttempt: Timestamp?
    /// Why no more follow; nil while they may.
    package var givenUp: GivenUp?

    /// Why a load was given up, as Firehose's codes say it.
    package struct GivenUp: Sendable, Codable, Hashable {
        /// Firehose's.
        package var code: String
        /// What the warehouse said.
        package var message: String
    }

    /// An object that is stored, and not tried yet.
    package init(records: Int, bytes: UInt64, objectBytes: UInt64) {
        self.records = records
        self.bytes = bytes
        self.objectBytes = objectBytes
    }
}

extension ObjectPlan {
    /// Its URL, `s3://bucket/key`.
    var url: String { "s3://\(bucket)/\(key)" }
}
