internal import Records

/// What a request says about its signature, in headers or in the query.
struct SignatureParts {
    var credential: String
    var signedHeaders: [Substring]
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
    func checkTime(scope: CredentialScope, now: Timestamp) throws(FirehoseError) {
        guard dateTime.prefix(8) == scope.date else {
            throw FirehoseError(
                .invalidSignature,
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date "
                    + "from HTTP: '\(scope.date)' != '\(dateTime.prefix(8))', from '\(dateTime)'."
            )
        }
        let skew = RequestVerifier.maximumSkew
        let latest = now + skew
        guard moment <= latest else {
            throw FirehoseError(
                .invalidSignature,
                "Signature not yet current: \(dateTime) is still later than "
                    + "\(Self.text(latest)) (\(Self.text(now)) + 15 min.)"
            )
        }
        if let expires {
            let end = moment + .seconds(expires)
            guard now < end else {
                throw FirehoseError(
                    .invalidSignature,
                    "Signature expired: \(Self.text(end)) is now earlier than \(Self.text(now))"
                )
            }
        } else {
            let earliest = now + (.zero - skew)
            guard moment >= earliest else {
                throw FirehoseError(
                    .invalidSignature,
                    "Signature expired: \(dateTime) is now earlier than \(Self.text(earliest)) "
                        + "(\(Self.text(now)) - 15 min.)"
                )
            }
        }
    }

    private static func text(_ moment: Timestamp) -> String { CivilTime(moment).basicDateTime }

    /// The bytes of a signature: 64 lower-case hexadecimal digits.
    static func bytes(ofSignature text: Substring) -> [UInt8]? {
        guard text.utf8.count == 64 else { return nil }
        var bytes: [UInt8] = []
        var high: UInt8?
        for digit in text.utf8 {
            let value: UInt8
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = digit - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = digit - UInt8(ascii: "a") + 10
            default: return nil
            }
            if let first = high {
                bytes.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return bytes
    }
}

/// `AKID/20150830/us-east-1/firehose/aws4_request`.
struct CredentialScope {
    var accessKeyID: String
    var date: Substring
    /// Everything behind the key's id.
    var text: String

    init(_ credential: String, region: String?, service: String) throws(FirehoseError) {
        // Ids have no slash; all else does not bear one either.
        let parts = credential.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 5 else {
            throw FirehoseError(
                .incompleteSignature,
                "Credential must have exactly 5 slash-delimited elements, e.g. "
                    + "keyid/date/region/service/term, got '\(credential)'"
            )
        }
        if let region, parts[2] != region {
            throw FirehoseError(
                .invalidSignature,
                "Credential should be scoped to a valid region, not '\(parts[2])'."
            )
        }
        guard parts[3] == service else {
            throw FirehoseError(
                .invalidSignature,
                "Credential should be scoped to correct service: '\(service)'."
            )
        }
        guard parts[4] == "aws4_request" else {
            throw FirehoseError(
                .invalidSignature,
                "Credential should be scoped with a valid terminator: 'aws4_request', not "
                    + "'\(parts[4])'."
            )
        }
        accessKeyID = String(parts[0])
        date = parts[1]
        text = String(credential[parts[1].startIndex...])
    }
}
