internal import Crypto
internal import Platform
package import Records
internal import Synchronization

/// Verifies requests that are signed with AWS Signature Version 4, in headers or in the query.
///
/// Source: IAM user guide, "AWS Signature Version 4 for API requests"; the errors are those of the
/// front ends of AWS's JSON services.
package final class RequestVerifier: Sendable {
    /// A request's head, as it came over the wire.
    package struct Head: Sendable {
        /// The HTTP method.
        package var method: String
        /// The path with the query.
        package var target: String
        /// All headers, names in any case.
        package var headers: [(name: String, value: String)]

        /// A head.
        package init(method: String, target: String, headers: [(name: String, value: String)]) {
            self.method = method
            self.target = target
            self.headers = headers
        }
    }

    /// What a head claims, until the body's hash shows whether it is true.
    package struct Claim: Sendable {
        /// The place of the key in the list that the verifier was made with.
        package let keyIndex: Int
        /// Whether `verify` needs the body's hash.
        package let needsBodyHash: Bool
        let scope: String
        let dateTime: String
        let signature: [UInt8]
        /// Everything of the canonical request before the payload's hash.
        let canonicalHead: [UInt8]
        /// The payload's hash as it stands in the canonical request, where the request names it.
        let namedPayloadHash: [UInt8]?
        let isPresigned: Bool
    }

    /// Requests may be so much older or newer than the clock says.
    package static let maximumSkew = Duration.seconds(15 * 60)
    static let maximumDerivedKeys = 16

    private let region: String?
    private let indices: [String: Int]
    private let accessKeys: [AccessKey]
    /// By key and scope: a derived key holds for a day, a region and a service.
    private let derived: Mutex<[[String: PreparedHMAC]]>

    /// Verifies requests that are signed with any of some keys.
    ///
    /// - Parameters:
    ///   - region: The region that scopes must have; nil for any.
    ///   - keys: The keys that are known, with different ids.
    package init(region: String?, keys: [AccessKey]) {
        self.region = region
        indices = Dictionary(
            keys.enumerated().map { ($1.credentials.accessKeyID, $0) },
            uniquingKeysWith: { first, _ in first }
        )
        accessKeys = keys
        derived = Mutex(Array(repeating: [:], count: keys.count))
    }

    /// Checks all of a request that can be checked before its body is there.
    ///
    /// - Parameters:
    ///   - head: The request's head.
    ///   - service: The service's name, which the signature's scope must have.
    ///   - now: The time.
    /// - Returns: What remains to be verified once the body is there.
    /// - Throws: MissingAuthenticationToken, IncompleteSignature, UnrecognizedClient, ExpiredToken or
    ///   InvalidSignature.
    package func claim(
        of head: Head,
        for service: String,
        now: Timestamp
    ) throws(SignatureError) -> Claim {
        let request = SignedRequest(head)
        let parts = try request.signatureParts()
        try parts.scope.check(region: region, service: service)
        guard let index = indices[parts.scope.accessKeyID] else { throw .unrecognizedClient }
        try checkKey(accessKeys[index], parts.securityToken, now)
        try parts.checkTime(now: now)
        let named = request.namedPayloadHash(parts)
        return Claim(
            keyIndex: index,
            needsBodyHash: named != SignedRequest.unsignedPayload,
            scope: parts.scope.text,
            dateTime: parts.dateTime,
            signature: parts.signature,
            canonicalHead: try request.canonicalHead(parts),
            namedPayloadHash: named,
            isPresigned: parts.isPresigned
        )
    }

    /// Checks the signature.
    ///
    /// - Parameters:
    ///   - claim: What the head said.
    ///   - bodyHash: The SHA-256 of the body as it came over the wire, 32 bytes; not looked at where
    ///     the claim does not need it.
    /// - Throws: InvalidSignature.
    package func verify(_ claim: Claim, bodyHash: [UInt8]) throws(SignatureError) {
        let key = derived.withLock { $0[claim.keyIndex][claim.scope] }
        let signing = key ?? derive(claim)
        var hash: [UInt8] = []
        hash.reserveCapacity(64)
        Hexadecimal.append(bodyHash, to: &hash)
        if let named = claim.namedPayloadHash, claim.needsBodyHash, named != hash {
            throw .signatureMismatch
        }
        var isRight = matches(claim, payloadHash: claim.namedPayloadHash ?? hash, signing)
        if !isRight, claim.isPresigned, claim.namedPayloadHash == nil {
            // Whoever makes a URL often does not know the body yet, and says so nowhere.
            isRight = matches(claim, payloadHash: SignedRequest.unsignedPayload, signing)
        }
        guard isRight else { throw .signatureMismatch }
        guard key == nil else { return }
        // Only what proved right is kept: scopes are the sender's to choose.
        derived.withLock { derived in
            if derived[claim.keyIndex].count >= Self.maximumDerivedKeys {
                derived[claim.keyIndex].removeAll()
            }
            derived[claim.keyIndex][claim.scope] = signing
        }
    }

    private func matches(
        _ claim: Claim,
        payloadHash: [UInt8],
        _ signing: PreparedHMAC
    ) -> Bool {
        var hash = SHA256()
        claim.canonicalHead.withUnsafeBytes { hash.update(bufferPointer: $0) }
        payloadHash.withUnsafeBytes { hash.update(bufferPointer: $0) }
        var text: [UInt8] = []
        text.reserveCapacity(192)
        text += "AWS4-HMAC-SHA256\n".utf8
        text += claim.dateTime.utf8
        text.append(0x0a)
        text += claim.scope.utf8
        text.append(0x0a)
        hash.finalize().withUnsafeBytes { Hexadecimal.append($0, to: &text) }
        // In constant time: every byte is looked at.
        let difference = signing.code(of: text).withUnsafeBytes { code in
            claim.signature.withUnsafeBytes { given in
                var difference: UInt8 = code.count == given.count ? 0 : 1
                for index in 0..<min(code.count, given.count) {
                    difference |= code[index] ^ given[index]
                }
                return difference
            }
        }
        return difference == 0
    }

    private func derive(_ claim: Claim) -> PreparedHMAC {
        let secret = accessKeys[claim.keyIndex].credentials.secretAccessKey
        return PreparedHMAC(key: CanonicalForm.signingKey(secret: secret, scope: claim.scope))
    }

    private func checkKey(
        _ key: AccessKey,
        _ token: String?,
        _ now: Timestamp
    ) throws(SignatureError) {
        let given = Array((token ?? "").utf8)
        let needed = Array((key.credentials.sessionToken ?? "").utf8)
        let difference = zip(given, needed).reduce(0) { $0 | ($1.0 ^ $1.1) }
        guard given.count == needed.count, difference == 0 else { throw .unrecognizedClient }
        if let expires = key.expires, now >= expires {
            throw SignatureError(
                .expiredToken,
                "The security token included in the request is expired"
            )
        }
    }
}
