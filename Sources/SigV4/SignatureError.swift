/// Why a request's signature does not show who sent it, in the words of AWS's front ends.
package struct SignatureError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What AWS's JSON services answer.
    package enum Code: String, Sendable {
        case expiredToken = "ExpiredTokenException"
        case incompleteSignature = "IncompleteSignatureException"
        case invalidSignature = "InvalidSignatureException"
        case missingAuthenticationToken = "MissingAuthenticationTokenException"
        case unrecognizedClient = "UnrecognizedClientException"
    }

    /// Which error.
    package var code: Code
    /// What it says to the caller.
    package var message: String

    /// An error.
    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { "\(code.rawValue): \(message)" }
}

extension SignatureError {
    /// Nothing says who sent the request.
    package static let missingAuthenticationToken = SignatureError(
        .missingAuthenticationToken,
        "Missing Authentication Token"
    )
    static let unrecognizedClient = SignatureError(
        .unrecognizedClient,
        "The security token included in the request is invalid."
    )
    static let signatureMismatch = SignatureError(
        .invalidSignature,
        "The request signature we calculated does not match the signature you provided. Check your "
            + "AWS Secret Access Key and signing method. Consult the service documentation for "
            + "details."
    )
}
