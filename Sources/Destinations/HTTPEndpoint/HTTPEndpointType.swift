internal import Records

extension DestinationType {
    static let httpEndpoint = DestinationType(
        kind: .httpEndpoint,
        delivery: .records(
            RecordDelivery(errorOutputType: .httpEndpointFailed) {
                configuration,
                context throws(FirehoseError) in
                try HTTPEndpointDestination(HTTPEndpointConfiguration(configuration), context)
            }
        ),
        metricsName: "delivery_to_http_endpoint",
        endpointMember: ["EndpointConfiguration", "Url"]
    )
}

extension ErrorOutputType {
    /// The HTTP endpoint did not take them.
    package static let httpEndpointFailed = ErrorOutputType(named: "http-endpoint-failed")
}
