internal import JSON
package import Records

/// A kind of destination as this server knows it: what else has to know about one asks this, and so knows
/// none by name.
package struct DestinationType: Sendable {
    /// How a buffer gets there.
    package enum Delivery: Sendable {
        /// As one object.
        case objects
        /// As one object, which a warehouse then loads.
        case warehouse
        /// Record by record, in requests.
        case records(RecordDelivery)
    }

    /// AWS's name of the kind.
    package var kind: DestinationKind
    /// How a buffer gets there.
    package var delivery: Delivery
    /// What the names of its metrics begin with: CloudWatch's, as Prometheus spells them.
    package var metricsName: String
    /// Buffers of one stream on their way at one time.
    package var maximumBuffersInFlight = Limits.maximumBuffersInFlight
    /// Members of its configuration that ask for what this server does not have.
    package var unsupportedMembers: [String] = []
    /// The member that is its URL, by the names on the way to it; empty for buckets and warehouses.
    var endpointMember: [String] = []

    /// What an operator should know of a stream with such a configuration; nil for nothing.
    package var caution: @Sendable (DestinationConfiguration) -> String? = { _ in nil }

    /// All kinds of destinations: the table that a new one gets its line in.
    package static let all: [DestinationType] = [
        .s3, .extendedS3, .redshift, .elasticsearch, .openSearch, .httpEndpoint, .splunk,
    ]

    private static let byKind = Dictionary(all.map { ($0.kind, $0) }) { first, _ in first }

    /// The type of a kind.
    package static func of(_ kind: DestinationKind) -> DestinationType {
        guard let type = byKind[kind] else {
            preconditionFailure("\(kind) is not in the table of destinations")
        }
        return type
    }

    /// What records are delivered as that it does not take; nil where all become an object.
    package var errorOutputType: ErrorOutputType? {
        if case .records(let records) = delivery { records.errorOutputType } else { nil }
    }

    /// Whether it takes some records of a request and rejects others for good.
    package var judgesRecords: Bool {
        if case .records(let records) = delivery { records.judgesRecords } else { false }
    }

    /// Where it is; nil where that is no URL, or it has none.
    package func endpoint(of configuration: DestinationConfiguration) -> EndpointURL? {
        guard !endpointMember.isEmpty else { return nil }
        let value = endpointMember.reduce(configuration.members) { $0[$1] ?? .null }
        return value.string.flatMap { EndpointURL($0) }
    }
}

extension DestinationType {
    /// What there is to know of a destination that takes records in requests.
    package struct RecordDelivery: Sendable {
        /// What records are delivered as that it does not take.
        package var errorOutputType: ErrorOutputType
        /// Whether it takes some records of a request and rejects others for good.
        var judgesRecords = false
        /// Makes one out of its configuration.
        ///
        /// Throws InvalidArgument, which names the member.
        var make:
            @Sendable (
                DestinationConfiguration,
                RecordDestinations.Context
            ) throws(FirehoseError) -> any RecordDestination
    }
}
