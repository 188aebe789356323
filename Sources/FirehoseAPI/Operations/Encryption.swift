internal import JSON
internal import Records

/// StartDeliveryStreamEncryption (API reference).
extension ControlPlane {
    func startEncryption(_ name: String, _ request: JSONValue) async throws(FirehoseError) {
        let input = request["DeliveryStreamEncryptionConfigurationInput"]
        let encryption = try input.map { input throws(FirehoseError) in try Self.encryption(input) }
        try await registry.startEncryption(
            name,
            encryption ?? StreamEncryption(keyType: .awsOwned)
        )
    }

    /// The encryption that an input of valid shape asks for.
    static func encryption(_ input: JSONValue) throws(FirehoseError) -> StreamEncryption {
        let arn = input["KeyARN"]?.string
        switch input["KeyType"]?.string {
        case StreamEncryption.KeyType.customerManaged.rawValue:
            guard let arn else {
                throw FirehoseError(
                    .invalidArgument,
                    "KeyARN must be specified when KeyType is CUSTOMER_MANAGED_CMK"
                )
            }
            return StreamEncryption(keyType: .customerManaged, keyARN: arn)
        default:
            guard arn == nil else {
                throw FirehoseError(
                    .invalidArgument,
                    "KeyARN must not be specified when KeyType is AWS_OWNED_CMK"
                )
            }
            return StreamEncryption(keyType: .awsOwned)
        }
    }
}
