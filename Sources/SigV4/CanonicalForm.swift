internal import Crypto

/// What signing and verifying write in the same way.
///
/// Source: IAM user guide, "Create a signed AWS API request".
enum CanonicalForm {
    /// Appends a header's value without white space at the ends, and with runs of it as one space.
    static func append(headerValue value: String, to text: inout [UInt8]) {
        var isFirst = true
        var hasGap = false
        for byte in value.utf8 {
            if byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d {
                hasGap = true
            } else {
                if hasGap, !isFirst { text.append(0x20) }
                hasGap = false
                isFirst = false
                text.append(byte)
            }
        }
    }

    /// A query of decoded names and values, encoded and sorted.
    static func query(_ pairs: [(name: String, value: String)]) -> String {
        pairs.map { (URIEncoding.encode($0.name), URIEncoding.encode($0.value)) }
            .sorted { $0 < $1 }  // encoded, they are ASCII
            .map { "\($0)=\($1)" }
            .joined(separator: "&")
    }

    /// The key that signs for a scope: `date/region/service/aws4_request`.
    static func signingKey(secret: String, scope: String) -> SymmetricKey {
        var key = SymmetricKey(data: Array("AWS4\(secret)".utf8))
        for part in scope.split(separator: "/") {
            key = SymmetricKey(
                data: HMAC<SHA256>.authenticationCode(for: Array(part.utf8), using: key)
            )
        }
        return key
    }
}
