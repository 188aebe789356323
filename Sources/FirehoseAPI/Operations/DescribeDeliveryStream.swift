internal import JSON
internal import Records

/// DescribeDeliveryStream (API reference).
extension ControlPlane {
    /// The only destination's id, the same as AWS gives.
    static let destinationID = "destinationId-000000000001"

    func describe(_ name: String) throws(FirehoseError) -> JSONValue {
        let described = try registry.describe(name)
        let stream = described.stream
        var description: JSONValue = [
            "DeliveryStreamName": .string(stream.name),
            "DeliveryStreamARN": .string(registry.identity.arn(ofStream: stream.name)),
            "DeliveryStreamStatus": .string(described.status.rawValue),
            "DeliveryStreamEncryptionConfiguration": Self.describe(stream.encryption),
            "DeliveryStreamType": .string(stream.source.rawValue),
            "VersionId": .string(String(stream.version)),
            // Seconds since the epoch, as JSON 1.1 has timestamps.
            "CreateTimestamp": .number(Double(stream.createTimestamp.milliseconds) / 1000),
            "Destinations": .array(
                stream.isUnknown ? [] : [Self.describe(stream.destination)]
            ),
            "HasMoreDestinations": false,
        ]
        description["FailureDescription"] = described.failure.map {
            ["Type": "UNKNOWN_ERROR", "Details": .string($0)]
        }
        description["LastUpdateTimestamp"] = stream.lastUpdateTimestamp.map {
            .number(Double($0.milliseconds) / 1000)
        }
        description["Source"] = stream.throughputHintInMBs.map {
            ["DirectPutSourceDescription": ["ThroughputHintInMBs": .integer($0)]]
        }
        return ["DeliveryStreamDescription": description]
    }

    private static func describe(_ encryption: StreamEncryption?) -> JSONValue {
        guard let encryption else { return ["Status": "DISABLED"] }
        var description: JSONValue = [
            "Status": "ENABLED", "KeyType": .string(encryption.keyType.rawValue),
        ]
        description["KeyARN"] = encryption.keyARN.map { .string($0) }
        return description
    }

    private static func describe(_ destination: DestinationConfiguration) -> JSONValue {
        var description: JSONValue = ["DestinationId": .string(destinationID)]
        let members = describe(destination.members)
        if destination.kind.isS3 {
            // AWS describes either shape in both.
            var extended = DestinationConfiguration(
                kind: .extendedS3,
                members: destination.members
            )
            extended.fillDefaults()
            description[DestinationKind.extendedS3.descriptionMember] = describe(extended.members)
            let plain = Set(Shape.s3DestinationConfiguration.members.map(\.name))
            description[DestinationKind.s3.descriptionMember] = .object(
                (members.object ?? [:]).filter { plain.contains($0.key) }
            )
        } else {
            description[destination.kind.descriptionMember] = members
        }
        return description
    }

    /// A configuration's members as its description names them, without the secrets that AWS does
    /// not describe either.
    private static func describe(_ members: JSONValue) -> JSONValue {
        var description: JSONValue = [:]
        for (name, value) in members.object ?? [:] {
            switch name {
            case "S3Configuration": description["S3DestinationDescription"] = value
            case "S3BackupConfiguration": description["S3BackupDescription"] = value
            case "Password": break
            case "ClusterEndpoint": description[name] = .string(masked(value.string ?? ""))
            case "EndpointConfiguration":
                var endpoint = value
                endpoint["AccessKey"] = nil
                description[name] = endpoint
            case "VpcConfiguration":
                var vpc = value
                vpc["VpcId"] = "vpc-00000000000000000"  // required in the description
                description["VpcConfigurationDescription"] = vpc
            default: description[name] = value
            }
        }
        return description
    }

    /// A URL with its password, if it has one, made unreadable.
    static func masked(_ url: String) -> String {
        guard let mark = url.firstRange(of: "://") else { return url }
        let rest = url[mark.upperBound...]
        let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        guard let at = rest[..<end].lastIndex(of: "@"),
            let colon = rest[..<at].firstIndex(of: ":")
        else { return url }
        return "\(url[...colon])****\(url[at...])"
    }
}
