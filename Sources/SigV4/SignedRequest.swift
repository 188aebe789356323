internal import Records

/// Reads a request's head as SigV4 does, and writes its canonical form.
struct SignedRequest {
    static let unsignedPayload = "UNSIGNED-PAYLOAD"
    /// A presigned request is good for seven days at the most (IAM user guide, "Signing elements").
    static let maximumExpires = 604_800

    private let head: RequestVerifier.Head
    private let path: Substring
    /// Names and values, decoded, in the order of the URL.
    private let query: [(name: String, value: String)]

    init(_ head: RequestVerifier.Head) {
        self.head = head
        let target = head.target.utf8
        guard let mark = target.firstIndex(of: UInt8(ascii: "?")) else {
            path = head.target[...]
            query = []
            return
        }
        path = head.target[..<mark]
        query = head.target[target.index(after: mark)...]
            .split(separator: "&", omittingEmptySubsequences: true)
            .map { pair in
                let equals = pair.firstIndex(of: "=") ?? pair.endIndex
                return (
                    URIEncoding.decode(pair[..<equals]),
                    URIEncoding.decode(pair[equals...].dropFirst())
                )
            }
    }

    // MARK: Parts

    func signatureParts() throws(FirehoseError) -> SignatureParts {
        if let text = header("authorization") { return try headerParts(text) }
        if value("X-Amz-Signature") != nil || value("X-Amz-Algorithm") != nil {
            return try queryParts()
        }
        throw FirehoseError(.missingAuthenticationToken, "Missing Authentication Token")
    }

    private func headerParts(_ text: String) throws(FirehoseError) -> SignatureParts {
        let scheme = text.prefix { $0 != " " }
        guard scheme == "AWS4-HMAC-SHA256" else {
            throw FirehoseError(
                .incompleteSignature,
                "Authorization header must be of the form AWS4-HMAC-SHA256 Credential=..., "
                    + "SignedHeaders=..., Signature=..."
            )
        }
        var fields: [Substring: Substring] = [:]
        for field in text[scheme.endIndex...].split(separator: ",") {
            let pair = field.drop { $0 == " " }
            guard let equals = pair.firstIndex(of: "=") else { continue }
            let name = pair[..<equals]
            guard fields[name] == nil else { throw Self.incomplete(["'\(name)' only once"]) }
            var value = pair[equals...].dropFirst()
            while value.last == " " { value.removeLast() }
            fields[name] = value
        }
        let needed = ["Credential", "Signature", "SignedHeaders"]
        var missing = needed.filter { (fields[Substring($0)] ?? "").isEmpty }
            .map { "'\($0)' parameter" }
        let date = header("x-amz-date") ?? header("date")
        if date == nil { missing.append("existence of either a 'X-Amz-Date' or a 'Date' header") }
        guard missing.isEmpty, let date, let credential = fields["Credential"],
            let signature = fields["Signature"], let signedHeaders = fields["SignedHeaders"]
        else { throw Self.incomplete(missing) }
        guard let moment = Timestamp(basicDateTime: date) ?? Timestamp(fixdate: date) else {
            throw FirehoseError(
                .incompleteSignature,
                "Date must be in ISO-8601 'basic format'. Got '\(date)'. See "
                    + "http://en.wikipedia.org/wiki/ISO_8601"
            )
        }
        return SignatureParts(
            credential: String(credential),
            signedHeaders: try checked(signedHeaders, hasDateHeader: true),
            signature: try Self.signature(signature),
            dateTime: CivilTime(moment).basicDateTime,
            moment: moment,
            securityToken: header("x-amz-security-token"),
            expires: nil
        )
    }

    private func queryParts() throws(FirehoseError) -> SignatureParts {
        let needed = [
            "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders",
            "X-Amz-Date", "X-Amz-Expires",
        ]
        let values = needed.map { value($0) ?? "" }
        let missing = zip(needed, values).filter { $0.1.isEmpty }.map { "'\($0.0)' parameter" }
        guard missing.isEmpty else {
            throw FirehoseError(
                .incompleteSignature,
                missing.map { "AWS query-string parameters must include \($0)." }
                    .joined(separator: " ") + " Re-examine the query-string parameters."
            )
        }
        guard values[0] == "AWS4-HMAC-SHA256" else {
            throw FirehoseError(
                .incompleteSignature,
                "Unsupported AWS 'algorithm': '\(values[0])'."
            )
        }
        guard let moment = Timestamp(basicDateTime: values[4]) else {
            throw FirehoseError(
                .incompleteSignature,
                "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
            )
        }
        guard let expires = Int(values[5]), (1...Self.maximumExpires).contains(expires) else {
            throw FirehoseError(
                .incompleteSignature,
                "X-Amz-Expires must be a number of 1 to \(Self.maximumExpires) seconds"
            )
        }
        return SignatureParts(
            credential: values[1],
            signedHeaders: try checked(values[3][...], hasDateHeader: false),
            signature: try Self.signature(values[2][...]),
            dateTime: values[4],
            moment: moment,
            securityToken: value("X-Amz-Security-Token") ?? header("x-amz-security-token"),
            expires: expires
        )
    }

    private static func signature(_ text: Substring) throws(FirehoseError) -> [UInt8] {
        // Of another form, it is as wrong as one of this form can be.
        guard let bytes = SignatureParts.bytes(ofSignature: text) else { throw .signatureMismatch }
        return bytes
    }

    private static func incomplete(_ missing: [String]) -> FirehoseError {
        // The header itself is not repeated: an answer may end up in logs.
        FirehoseError(
            .incompleteSignature,
            missing.map { "Authorization header requires \($0)." }.joined(separator: " ")
        )
    }

    /// The signed headers' names: they must hold all on which the meaning of a request depends.
    private func checked(
        _ list: Substring,
        hasDateHeader: Bool
    ) throws(FirehoseError) -> [Substring] {
        let names = list.split(separator: ";", omittingEmptySubsequences: false)
        // Sorted, each once, in lower case: no other list is canonical.
        let isCanonical =
            zip(names, names.dropFirst()).allSatisfy { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            && !list.utf8.contains { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) }
        guard isCanonical else { throw .signatureMismatch }
        func mustBeSigned(_ name: Substring) -> Bool {
            switch name {
            case "host", "x-amz-target": true
            case "x-amz-date": hasDateHeader
            case "date": hasDateHeader && header("x-amz-date") == nil
            default: false
            }
        }
        for (name, _) in head.headers {
            let name = name.lowercased()
            if mustBeSigned(name[...]), !names.contains(name[...]) {
                throw FirehoseError(
                    .invalidSignature,
                    "'\(name)' must be a 'SignedHeader' in the AWS Authorization."
                )
            }
        }
        guard names.contains("host") else {
            throw FirehoseError(
                .invalidSignature,
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
            )
        }
        return names
    }

    /// The payload's hash where a signed part of the request names it; nil where it goes without
    /// saying that it is the body's.
    func namedPayloadHash(_ parts: SignatureParts) throws(FirehoseError) -> String? {
        if parts.signedHeaders.contains("x-amz-content-sha256"),
            let hash = header("x-amz-content-sha256")
        {
            return hash
        }
        return parts.isPresigned ? value("X-Amz-Content-Sha256") : nil
    }

    private func header(_ name: String) -> String? {
        head.headers.first { Self.isSame($0.name, name) }?.value
    }

    private func value(_ name: String) -> String? { query.first { $0.name == name }?.value }

    /// Whether a header has a name that is given in lower case.
    private static func isSame(_ name: String, _ lowercased: some StringProtocol) -> Bool {
        name.utf8.count == lowercased.utf8.count
            && zip(name.utf8, lowercased.utf8).allSatisfy { byte, small in
                byte == small
                    || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
                        && byte | 0x20 == small
            }
    }

    // MARK: Canonical form

    /// The canonical request up to the payload's hash.
    func canonicalHead(_ parts: SignatureParts) throws(FirehoseError) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(512)
        text += head.method.utf8
        text.append(0x0a)
        text += URIEncoding.encode(Self.normalized(path), keepSlashes: true).utf8
        text.append(0x0a)
        if !query.isEmpty { text += canonicalQuery.utf8 }
        text.append(0x0a)
        for name in parts.signedHeaders {
            text += name.utf8
            text.append(UInt8(ascii: ":"))
            try appendValues(of: name, to: &text)
            text.append(0x0a)
        }
        text.append(0x0a)
        for (index, name) in parts.signedHeaders.enumerated() {
            if index > 0 { text.append(UInt8(ascii: ";")) }
            text += name.utf8
        }
        text.append(0x0a)
        return text
    }

    private func appendValues(
        of name: Substring,
        to text: inout [UInt8]
    ) throws(FirehoseError) {
        var count = 0
        for (other, value) in head.headers where Self.isSame(other, name) {
            if count > 0 { text.append(UInt8(ascii: ",")) }
            count += 1
            Self.appendTrimmed(value, to: &text)
        }
        guard count > 0 else { throw .signatureMismatch }
    }

    /// Without white space at the ends, and runs of spaces as one.
    private static func appendTrimmed(_ value: String, to text: inout [UInt8]) {
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

    private var canonicalQuery: String {
        query.filter { $0.name != "X-Amz-Signature" }
            .map { (URIEncoding.encode($0.name), URIEncoding.encode($0.value)) }
            .sorted { $0 < $1 }  // encoded, they are ASCII
            .map { "\($0)=\($1)" }
            .joined(separator: "&")
    }

    /// RFC 3986, section 5.2.4, and runs of slashes as one: for every service but S3.
    private static func normalized(_ path: Substring) -> String {
        if path == "/" || path.isEmpty { return "/" }
        var parts: [Substring] = []
        for part in path.split(separator: "/", omittingEmptySubsequences: true) where part != "." {
            if part == ".." {
                if !parts.isEmpty { parts.removeLast() }
            } else {
                parts.append(part)
            }
        }
        let last = path.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
        let endsWithSlash = last.isEmpty || last == "." || last == ".."
        return "/" + parts.joined(separator: "/") + (endsWithSlash && !parts.isEmpty ? "/" : "")
    }
}
