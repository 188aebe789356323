internal import Records

extension DestinationKind {
    /// The shape of the kind's configuration.
    var shape: Shape {
        switch self {
        case .s3: .s3DestinationConfiguration
        case .extendedS3: .extendedS3DestinationConfiguration
        case .redshift: .redshiftDestinationConfiguration
        case .elasticsearch: .elasticsearchDestinationConfiguration
        case .openSearch: .openSearchDestinationConfiguration
        case .splunk: .splunkDestinationConfiguration
        case .httpEndpoint: .httpEndpointDestinationConfiguration
        }
    }
}
