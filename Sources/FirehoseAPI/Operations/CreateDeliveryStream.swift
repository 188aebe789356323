internal import JSON
internal import Records

/// CreateDeliveryStream (API reference).
extension ControlPlane {
    func create(_ request: JSONValue) async throws(FirehoseError) -> JSONValue {
        let stream = try stream(from: request)
        try await registry.create(stream)
        return ["DeliveryStreamARN": .string(registry.identity.arn(ofStream: stream.name))]
    }

    /// The stream that a request of valid shape asks for, defaults filled in.
    func stream(from request: JSONValue) throws(FirehoseError) -> DeliveryStream {
        if let type = request["DeliveryStreamType"]?.string, type != "DirectPut" {
            throw FirehoseError(
                .invalidArgument,
                "DeliveryStreamType \(type) is not supported; use DirectPut"
            )
        }
        try Self.refuse(
            [
                "KinesisStreamSourceConfiguration", "MSKSourceConfiguration",
                "DatabaseSourceConfiguration",
            ],
            in: request
        )
        let kinds = DestinationKind.allCases.filter { request[$0.configurationMember] != nil }
        let refused = Self.refusedDestinations.map { $0 + "DestinationConfiguration" }
        guard kinds.count + refused.count(where: { request[$0] != nil }) == 1 else {
            throw FirehoseError(
                .invalidArgument,
                "Exactly one destination configuration is supported for a Firehose"
            )
        }
        try Self.refuse(refused, in: request)
        let kind = kinds[0]
        var destination = DestinationConfiguration(
            kind: kind,
            members: request[kind.configurationMember] ?? [:]
        )
        try DestinationRules.check(destination, at: kind.configurationMember)
        destination.fillDefaults()
        return DeliveryStream(
            name: request["DeliveryStreamName"]?.string ?? "",
            throughputHintInMBs:
                request["DirectPutSourceConfiguration"]?["ThroughputHintInMBs"]?.integer,
            createTimestamp: time.now(),
            destination: destination,
            encryption: try request["DeliveryStreamEncryptionConfigurationInput"].map {
                input throws(FirehoseError) in
                try Self.encryption(input)
            },
            tags: try Self.tags(request["Tags"])
        )
    }

    /// Destinations of the model that this server does not have.
    static let refusedDestinations = ["AmazonOpenSearchServerless", "Snowflake", "Iceberg"]

    /// Refuses the first of some members that is given.
    static func refuse(_ members: [String], in request: JSONValue) throws(FirehoseError) {
        guard let member = members.first(where: { request[$0] != nil }) else { return }
        throw FirehoseError(.invalidArgument, "\(member) is not supported")
    }
}
