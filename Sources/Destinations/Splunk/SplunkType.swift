internal import Records

extension DestinationType {
    static let splunk = DestinationType(
        kind: .splunk,
        delivery: .records(
            RecordDelivery(errorOutputType: .splunkFailed) {
                configuration,
                context throws(FirehoseError) in
                try SplunkDestination(SplunkConfiguration(configuration), context)
            }
        ),
        metricsName: "delivery_to_splunk",
        // It confirms buffers long after it has them.
        maximumBuffersInFlight: Limits.maximumUnconfirmedBuffers,
        endpointMember: ["HECEndpoint"]
    )
}

extension ErrorOutputType {
    /// Splunk did not take them.
    package static let splunkFailed = ErrorOutputType(named: "splunk-failed")
}
