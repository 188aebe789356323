internal import JSON
internal import Records

/// UpdateDestination (API reference).
extension ControlPlane {
    func updateDestination(_ name: String, _ request: JSONValue) async throws(FirehoseError) {
        _ = try registry.describe(name)
        let id = request["DestinationId"]?.string ?? ""
        guard id == Self.destinationID else {
            throw FirehoseError(
                .invalidArgument,
                "Destination Id \(id) not found: the destination of \(name) is "
                    + Self.destinationID
            )
        }
        let refused = Self.refusedDestinations.map { $0 + "DestinationUpdate" }
        let kinds = DestinationKind.allCases.filter { request[$0.updateMember] != nil }
        guard kinds.count + refused.count(where: { request[$0] != nil }) <= 1 else {
            throw FirehoseError(
                .invalidArgument,
                "Exactly one destination update is supported for a Firehose"
            )
        }
        try Self.refuse(refused, in: request)
        let given = request["CurrentDeliveryStreamVersionId"]?.string ?? ""
        let update = kinds.first.map { ($0, request[$0.updateMember] ?? [:]) }
        try await registry.update(name) { [self] stream throws(FirehoseError) in
            guard given == String(stream.version) else {
                throw FirehoseError(
                    .concurrentModification,
                    "Cannot update firehose: \(name) since the current version id: "
                        + "\(stream.version) and specified version id: \(given) do not match"
                )
            }
            guard let (kind, members) = update else { return }
            try replaceDestination(
                of: &stream,
                with: try updated(stream.destination, kind, members)
            )
        }
    }

    /// Gives a stream another destination; its version rises where that is a change.
    func replaceDestination(
        of stream: inout DeliveryStream,
        with destination: DestinationConfiguration
    ) throws(FirehoseError) {
        guard destination != stream.destination else { return }
        try DestinationRules.checkChange(from: stream.destination, to: destination)
        stream.destination = destination
        stream.version += 1
        stream.lastUpdateTimestamp = time.now()
    }

    /// A destination with an update merged in, or wholly new where it is of another kind.
    private func updated(
        _ current: DestinationConfiguration,
        _ kind: DestinationKind,
        _ update: JSONValue
    ) throws(FirehoseError) -> DestinationConfiguration {
        var result = current
        if kind == current.kind || kind.isS3 && current.kind.isS3
            || kind.isSearch && current.kind.isSearch
        {
            if kind.isSearch { result.kind = kind }
            result.members = Self.withoutReplaced(current.members, update)
            // The plain shape has nothing that the extended one has not.
            let plain = Set(Shape.s3DestinationConfiguration.members.map(\.name))
            let given = Set((update.object ?? [:]).keys)
            if kind == .extendedS3, !given.isSubset(of: plain) { result.kind = .extendedS3 }
            result.members = Self.merged(result.members, update)
        } else {
            result = DestinationConfiguration(kind: kind, members: Self.merged([:], update))
        }
        try check(result.members, result.kind.shape, at: kind.updateMember.lowercasedFirst)
        try DestinationRules.check(result, at: kind.updateMember)
        result.fillDefaults()
        return result
    }

    /// Takes out what an update says in another way.
    private static func withoutReplaced(_ current: JSONValue, _ update: JSONValue) -> JSONValue {
        var result = current
        if update["DomainARN"] != nil { result["ClusterEndpoint"] = nil }
        if update["ClusterEndpoint"] != nil { result["DomainARN"] = nil }
        return result
    }

    /// What is not given stays.
    ///
    /// These structures are merged member by member, others are replaced: the members of a
    /// credential, a key or a command belong together.
    private static let mergedMembers = DestinationConfiguration.memberwise.union([
        "S3Configuration", "S3BackupConfiguration",
    ])

    private static func merged(_ current: JSONValue, _ update: JSONValue) -> JSONValue {
        var result = current
        for (name, value) in update.object ?? [:] {
            // As it is described, it says nothing new.
            if name == "ClusterEndpoint", let old = current[name]?.string,
                value == .string(ControlPlane.masked(old))
            {
                continue
            }
            let name =
                switch name {
                case "S3Update": "S3Configuration"
                case "S3BackupUpdate": "S3BackupConfiguration"
                default: name
                }
            // The secret of an endpoint that stays, too: nobody can read it back to send it again.
            let isSameEndpoint = value["Url"] != nil && value["Url"] == result[name]?["Url"]
            result[name] =
                mergedMembers.contains(name) || isSameEndpoint && value["AccessKey"] == nil
                ? merged(result[name] ?? [:], value) : value
        }
        return result
    }
}

extension String {
    /// As AWS writes the names of members in paths.
    var lowercasedFirst: String { prefix(1).lowercased() + dropFirst() }
}
