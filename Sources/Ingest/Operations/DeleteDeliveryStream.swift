internal import Records

/// DeleteDeliveryStream (API reference).
struct DeleteDeliveryStreamRequest: Decodable {
    var name: String?
    /// Deletes though a KMS grant cannot be retired: there is none here.
    var allowForceDelete: Bool?

    enum CodingKeys: String, CodingKey {
        case name = "DeliveryStreamName"
        case allowForceDelete = "AllowForceDelete"
    }
}

extension ControlPlane {
    func delete(_ request: DeleteDeliveryStreamRequest) async throws(FirehoseError) -> EmptyAnswer {
        try await registry.delete(try Self.name(request.name))
        return EmptyAnswer()
    }
}
