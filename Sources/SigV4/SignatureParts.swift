internal import Records

/// What a request says about its signature, in headers or in the query.
struct SignatureParts {
    var scope: CredentialScope
    /// Names in lower case, sorted.
    var signedHeaders: [ArraySlice<UInt8>]
    /// 32 bytes.
    var signature: [UInt8]
    /// As it is signed: `yyyyMMddTHHmmssZ`.
    var dateTime: String
    var moment: Timestamp
    var securityToken: String?
    /// Seconds that a presigned request is good for; nil for one signed in its headers.
    var expires: Int?
    var isPresigned: Bool { expires != nil }

    /// Checks the time against the scope's day and the clock.
    func checkTime(now: Timestamp) throws(SignatureError) {
        guard dateTime.utf8.prefix(8).elementsEqual(scope.date) else {
            throw SignatureError(
                .invalidSignature,
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date "
                    + "from HTTP: '\(CredentialScope.text(scope.date))' != '\(dateTime.prefix(8))', from '\(dateTime)'."
            )
        }
        let skew = RequestVerifier.maximumSkew
        let latest = now + skew
        guard moment <= latest else {
            throw SignatureError(
                .invalidSignature,
                "Signature not yet current: \(dateTime) is still later than "
                    + "\(Self.text(latest)) (\(Self.text(now)) + 15 min.)"
            )
        }
        if let expires {
            let end = moment + .seconds(expires)
            guard now < end else {
                throw SignatureError(
                    .invalidSignature,
                    "Signature expired: \(Self.text(end)) is now earlier than \(Self.text(now))"
                )
            }
        } else {
            let earliest = now + (.zero - skew)
            guard moment >= earliest else {
                throw SignatureError(
                    .invalidSignature,
                    "Signature expired: \(dateTime) is now earlier than \(Self.text(earliest)) "
                        + "(\(Self.text(now)) - 15 min.)"
                )
            }
        }
    }

    private static func text(_ moment: Timestamp) -> String { CivilTime(moment).basicDateTime }
}

/// `AKID/20150830/us-east-1/firehose/aws4_request`.
struct CredentialScope {
    var accessKeyID: String
    var date: ArraySlice<UInt8>
    var region: ArraySlice<UInt8>
    var service: ArraySlice<UInt8>
    var terminator: ArraySlice<UInt8>
    /// Everything behind the key's id.
    var text: String

    init(_ credential: ArraySlice<UInt8>) throws(SignatureError) {
        // Ids have no slash; all else does not bear one either.
        let parts = credential.fields(separatedBy: UInt8(ascii: "/"))
        guard parts.count == 5 else {
            throw SignatureError(
                .incompleteSignature,
                "Credential must have exactly 5 slash-delimited elements, e.g. "
                    + "keyid/date/region/service/term, got "
                    + "'\(String(decoding: credential, as: UTF8.self))'"
            )
        }
        accessKeyID = String(decoding: parts[0], as: UTF8.self)
        date = parts[1]
        region = parts[2]
        service = parts[3]
        terminator = parts[4]
        text = String(decoding: credential[parts[1].startIndex...], as: UTF8.self)
    }

    /// Holds the scope against the service that it must be for; any region will do where it is nil.
    func check(region: String?, service: String) throws(SignatureError) {
        if let region, !self.region.elementsEqual(region.utf8) {
            throw SignatureError(
                .invalidSignature,
                "Credential should be scoped to a valid region, not '\(Self.text(self.region))'."
            )
        }
        guard self.service.elementsEqual(service.utf8) else {
            throw SignatureError(
                .invalidSignature,
                "Credential should be scoped to correct service: '\(service)'."
            )
        }
        guard terminator.elementsEqual("aws4_request".utf8) else {
            throw SignatureError(
                .invalidSignature,
                "Credential should be scoped with a valid terminator: 'aws4_request', not "
                    + "'\(Self.text(terminator))'."
            )
        }
    }

    static func text(_ bytes: ArraySlice<UInt8>) -> String {
        String(decoding: bytes, as: UTF8.self)
    }
}
