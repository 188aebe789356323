/// What an Authorization header has behind its scheme.
struct AuthorizationFields {
    private(set) var credential: ArraySlice<UInt8> = []
    private(set) var signedHeaders: ArraySlice<UInt8> = []
    private(set) var signature: ArraySlice<UInt8> = []

    /// - Throws: `SignatureError` for a part that is of no use or there twice.
    init(_ text: ArraySlice<UInt8>) throws(SignatureError) {
        for field in text.fields(separatedBy: UInt8(ascii: ",")) {
            let pair = field.drop { $0 == UInt8(ascii: " ") }
            if pair.isEmpty { continue }
            let name = pair.prefix { $0 != UInt8(ascii: "=") }
            var value = pair[name.endIndex...].dropFirst()
            while value.last == UInt8(ascii: " ") { value.removeLast() }
            if name.elementsEqual("Credential".utf8), credential.isEmpty {
                credential = value
            } else if name.elementsEqual("SignedHeaders".utf8), signedHeaders.isEmpty {
                signedHeaders = value
            } else if name.elementsEqual("Signature".utf8), signature.isEmpty {
                signature = value
            } else {
                throw SignatureError(
                    .incompleteSignature,
                    "Authorization header has a part that is none of Credential, SignedHeaders and "
                        + "Signature, or one of them twice."
                )
            }
        }
    }

    /// What a signature needs and is not there, in AWS's words.
    func missing(hasDate: Bool) -> [String] {
        var missing: [String] = []
        if credential.isEmpty { missing.append("'Credential' parameter") }
        if signature.isEmpty { missing.append("'Signature' parameter") }
        if signedHeaders.isEmpty { missing.append("'SignedHeaders' parameter") }
        if !hasDate { missing.append("existence of either a 'X-Amz-Date' or a 'Date' header") }
        return missing
    }
}
