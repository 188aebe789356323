internal import JSON
internal import Records

/// ListDeliveryStreams (API reference).
extension ControlPlane {
    func list(_ request: JSONValue) -> JSONValue {
        // All streams here are DirectPut.
        let isEmpty = (request["DeliveryStreamType"]?.string ?? "DirectPut") != "DirectPut"
        let (names, hasMore) =
            isEmpty
            ? ([], false)
            : registry.list(
                after: request["ExclusiveStartDeliveryStreamName"]?.string,
                limit: request["Limit"]?.integer ?? Limits.defaultListLimit
            )
        return [
            "DeliveryStreamNames": .array(names.map { .string($0) }),
            "HasMoreDeliveryStreams": .boolean(hasMore),
        ]
    }
}
