internal import Records

extension DestinationType {
    static let openSearch = search(.openSearch, .openSearchFailed)
    static let elasticsearch = search(.elasticsearch, .elasticsearchFailed)

    /// The two are one destination under two names, which differ in where failed records go.
    private static func search(
        _ kind: DestinationKind,
        _ errorOutputType: ErrorOutputType
    ) -> DestinationType {
        DestinationType(
            kind: kind,
            delivery: .records(
                RecordDelivery(
                    errorOutputType: errorOutputType,
                    judgesRecords: true
                ) { configuration, context throws(FirehoseError) in
                    try OpenSearchDestination(
                        OpenSearchConfiguration(configuration),
                        context,
                        errorOutputType
                    )
                }
            ),
            metricsName: "delivery_to_amazon_open_search_service",
            // An ARN names no host.
            unsupportedMembers: ["DomainARN"],
            endpointMember: ["ClusterEndpoint"],
            caution: { configuration in
                guard let known = try? OpenSearchConfiguration(configuration),
                    !known.hasIdentifiers
                else { return nil }
                return "NO_DOCUMENT_ID: a request whose response is lost is sent again, and its "
                    + "documents are then in the index twice"
            }
        )
    }
}

extension ErrorOutputType {
    /// OpenSearch did not take them.
    package static let openSearchFailed = ErrorOutputType(named: "AmazonOpenSearchService-failed")
    /// The same, for a destination that is configured as Elasticsearch.
    package static let elasticsearchFailed = ErrorOutputType(named: "elasticsearch-failed")
}
