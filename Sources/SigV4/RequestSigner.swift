internal import Crypto
internal import Platform
package import Records
internal import Synchronization

/// Signs requests with AWS Signature Version 4.
///
/// Source: IAM user guide, "AWS Signature Version 4 for API requests", and for S3 the API
/// reference, "Authenticating Requests (AWS Signature Version 4)".
package final class RequestSigner: Sendable {
    /// What is signed.
    ///
    /// Path and query are given as they go over the wire.
    package struct Request: Sendable {
        /// The HTTP method, upper case.
        package var method: String
        /// The path, percent-encoded once.
        package var path: String
        /// Names and values of the query, not encoded.
        package var query: [(name: String, value: String)]
        /// All headers to sign, `Host` among them; names in any case.
        package var headers: [(name: String, value: String)]
        /// The SHA-256 of the body in lower-case hex, or `UNSIGNED-PAYLOAD`.
        package var payloadHash: String

        /// A request.
        package init(
            method: String,
            path: String,
            query: [(name: String, value: String)] = [],
            headers: [(name: String, value: String)],
            payloadHash: String
        ) {
            self.method = method
            self.path = path
            self.query = query
            self.headers = headers
            self.payloadHash = payloadHash
        }
    }

    private let credentials: Credentials
    private let region: String
    private let service: String
    private let derived = Mutex<(date: String, key: SymmetricKey)?>(nil)

    /// Signs for one service in one region.
    package init(credentials: Credentials, region: String, service: String) {
        self.credentials = credentials
        self.region = region
        self.service = service
    }

    /// The headers to send: those of the request, what signing adds, and `Authorization`.
    package func sign(_ request: Request, at moment: Timestamp) -> [(name: String, value: String)] {
        let time = CivilTime(moment)
        var headers = request.headers
        headers.append(("x-amz-date", time.basicDateTime))
        if service == "s3" { headers.append(("x-amz-content-sha256", request.payloadHash)) }
        if let token = credentials.sessionToken {
            headers.append(("x-amz-security-token", token))
        }
        let (canonical, signedHeaders) = canonicalRequest(request, headers: headers)
        let scope = "\(time.basicDate)/\(region)/\(service)/aws4_request"
        let text = [
            "AWS4-HMAC-SHA256", time.basicDateTime, scope,
            Hexadecimal.text(SHA256.hash(data: Array(canonical.utf8))),
        ].joined(separator: "\n")
        let key = signingKey(date: time.basicDate, scope: scope)
        let signature = Hexadecimal.text(
            HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: key)
        )
        headers.append(
            (
                "Authorization",
                "AWS4-HMAC-SHA256 Credential=\(credentials.accessKeyID)/\(scope), "
                    + "SignedHeaders=\(signedHeaders), Signature=\(signature)"
            )
        )
        return headers
    }

    private func canonicalRequest(
        _ request: Request,
        headers: [(name: String, value: String)]
    ) -> (text: String, signedHeaders: String) {
        var byName: [String: [String]] = [:]
        for (name, value) in headers {
            var trimmed: [UInt8] = []
            CanonicalForm.append(headerValue: value, to: &trimmed)
            byName[name.lowercased(), default: []].append(String(decoding: trimmed, as: UTF8.self))
        }
        let names = byName.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        let lines = names.map { "\($0):\((byName[$0] ?? []).joined(separator: ","))\n" }
        let query = CanonicalForm.query(request.query)
        // Every service but S3 encodes the path a second time.
        let path =
            service == "s3"
            ? request.path : URIEncoding.encode(request.path, keepSlashes: true)
        let signedHeaders = names.joined(separator: ";")
        let text = [
            request.method, path.isEmpty ? "/" : path, query, lines.joined(), signedHeaders,
            request.payloadHash,
        ].joined(separator: "\n")
        return (text, signedHeaders)
    }

    private func signingKey(date: String, scope: String) -> SymmetricKey {
        derived.withLock { derived in
            if let derived, derived.date == date { return derived.key }
            let key = CanonicalForm.signingKey(
                secret: credentials.secretAccessKey,
                scope: scope
            )
            derived = (date, key)
            return key
        }
    }
}
