internal import Records

extension DestinationType {
    static let s3 = DestinationType(
        kind: .s3,
        delivery: .objects,
        metricsName: "delivery_to_s3"
    )

    static let extendedS3 = DestinationType(
        kind: .extendedS3,
        delivery: .objects,
        metricsName: "delivery_to_s3"
    )
}
