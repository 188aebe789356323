internal import Records

extension DestinationType {
    static let redshift = DestinationType(
        kind: .redshift,
        delivery: .warehouse,
        metricsName: "delivery_to_redshift",
        // Objects wait on disk alone until they are loaded.
        maximumBuffersInFlight: Limits.maximumUnconfirmedBuffers
    )
}
