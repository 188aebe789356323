internal import Platform
internal import Records

/// Reads a request's head as SigV4 does, and writes its canonical form.
struct SignedRequest {
    static let unsignedPayload = Array("UNSIGNED-PAYLOAD".utf8)
    /// A presigned request is good for seven days at the most (IAM user guide, "Signing elements").
    static let maximumExpires = 604_800

    private let head: RequestVerifier.Head
    private let path: Substring
    /// Names and values, decoded, in the order of the URL.
    private let query: [(name: String, value: String)]
    /// The first header of each of these names.
    private var authorization: String?
    private var amazonDate: String?
    private var date: String?
    private var securityToken: String?
    private var contentHash: String?
    private var hasTarget = false

    init(_ head: RequestVerifier.Head) {
        self.head = head
        if let mark = head.target.utf8.firstIndex(of: UInt8(ascii: "?")) {
            path = head.target[..<mark]
            query = Self.query(head.target[mark...].dropFirst())
        } else {
            path = head.target[...]
            query = []
        }
        for (name, value) in head.headers {
            switch name.utf8.count {
            case 4 where Self.isSame(name, "date"): date = date ?? value
            case 10 where Self.isSame(name, "x-amz-date"): amazonDate = amazonDate ?? value
            case 12 where Self.isSame(name, "x-amz-target"): hasTarget = true
            case 13 where Self.isSame(name, "authorization"):
                authorization = authorization ?? value
            case 20 where Self.isSame(name, "x-amz-security-token"):
                securityToken = securityToken ?? value
            case 20 where Self.isSame(name, "x-amz-content-sha256"):
                contentHash = contentHash ?? value
            default: break
            }
        }
    }

    private static func query(_ text: Substring) -> [(name: String, value: String)] {
        text.utf8.split(separator: UInt8(ascii: "&")).map { pair in
            let equals = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
            return (
                URIEncoding.decode(Substring(pair[..<equals])),
                URIEncoding.decode(Substring(pair[equals...].dropFirst()))
            )
        }
    }

    // MARK: Parts

    func signatureParts() throws(SignatureError) -> SignatureParts {
        // Nothing of this is ever anything but ASCII, and hashing or comparing other texts takes
        // long if they are made for that.
        guard Self.isASCII(authorization), Self.isASCII(amazonDate), Self.isASCII(date),
            Self.isASCII(securityToken), Self.isASCII(contentHash)
        else {
            throw SignatureError(
                .incompleteSignature,
                "The headers of a signature must be ASCII."
            )
        }
        if let authorization { return try headerParts(Array(authorization.utf8)) }
        if value("X-Amz-Signature") != nil || value("X-Amz-Algorithm") != nil {
            return try queryParts()
        }
        throw .missingAuthenticationToken
    }

    private static func isASCII(_ text: String?) -> Bool {
        guard let text else { return true }
        return text.utf8.withContiguousStorageIfAvailable { bytes in
            var all: UInt8 = 0
            for byte in bytes { all |= byte }
            return all < 0x80
        } ?? text.utf8.allSatisfy { $0 < 0x80 }
    }

    private func headerParts(_ text: [UInt8]) throws(SignatureError) -> SignatureParts {
        let scheme = text.prefix { $0 != UInt8(ascii: " ") }
        guard scheme.elementsEqual("AWS4-HMAC-SHA256".utf8) else {
            throw SignatureError(
                .incompleteSignature,
                "Authorization header must be of the form AWS4-HMAC-SHA256 Credential=..., "
                    + "SignedHeaders=..., Signature=..."
            )
        }
        let fields = try AuthorizationFields(text[scheme.endIndex...])
        let date = amazonDate ?? date
        let missing = fields.missing(hasDate: date != nil)
        guard missing.isEmpty, let date else {
            // The header itself is not repeated: an answer may end up in logs.
            throw SignatureError(
                .incompleteSignature,
                missing.map { "Authorization header requires \($0)." }.joined(separator: " ")
            )
        }
        let basic = Timestamp(basicDateTime: date)
        guard let moment = basic ?? Timestamp(fixdate: date) else {
            throw SignatureError(
                .incompleteSignature,
                "Date must be in ISO-8601 'basic format'. Got '\(date)'. See "
                    + "http://en.wikipedia.org/wiki/ISO_8601"
            )
        }
        return SignatureParts(
            scope: try CredentialScope(fields.credential),
            signedHeaders: try checked(fields.signedHeaders, isPresigned: false),
            signature: try Self.signature(fields.signature),
            dateTime: basic == nil ? CivilTime(moment).basicDateTime : date,
            moment: moment,
            securityToken: securityToken,
            expires: nil
        )
    }

    private func queryParts() throws(SignatureError) -> SignatureParts {
        let needed = [
            "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders",
            "X-Amz-Date", "X-Amz-Expires",
        ]
        let values = needed.map { value($0) ?? "" }
        let missing = zip(needed, values).filter { $0.1.isEmpty }.map { "'\($0.0)' parameter" }
        guard missing.isEmpty else {
            throw SignatureError(
                .incompleteSignature,
                missing.map { "AWS query-string parameters must include \($0)." }
                    .joined(separator: " ") + " Re-examine the query-string parameters."
            )
        }
        guard values[0] == "AWS4-HMAC-SHA256" else {
            throw SignatureError(
                .incompleteSignature,
                "Unsupported AWS 'algorithm': '\(values[0])'."
            )
        }
        guard let moment = Timestamp(basicDateTime: values[4]) else {
            throw SignatureError(
                .incompleteSignature,
                "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
            )
        }
        guard let expires = Int(values[5]), (1...Self.maximumExpires).contains(expires) else {
            throw SignatureError(
                .incompleteSignature,
                "X-Amz-Expires must be a number of 1 to \(Self.maximumExpires) seconds"
            )
        }
        return SignatureParts(
            scope: try CredentialScope(Array(values[1].utf8)[...]),
            signedHeaders: try checked(Array(values[3].utf8)[...], isPresigned: true),
            signature: try Self.signature(Array(values[2].utf8)[...]),
            dateTime: values[4],
            moment: moment,
            securityToken: value("X-Amz-Security-Token") ?? securityToken,
            expires: expires
        )
    }

    private static func signature(_ text: ArraySlice<UInt8>) throws(SignatureError) -> [UInt8] {
        // Of another form, it is as wrong as one of this form can be.
        guard text.count == 64, let bytes = Hexadecimal.bytes(text) else {
            throw .signatureMismatch
        }
        return bytes
    }

    /// The signed headers' names: they must hold all on which the meaning of a request depends.
    private func checked(
        _ list: ArraySlice<UInt8>,
        isPresigned: Bool
    ) throws(SignatureError) -> [ArraySlice<UInt8>] {
        let names = list.fields(separatedBy: UInt8(ascii: ";"))
        guard names.count <= head.headers.count else { throw .signatureMismatch }
        // Sorted, each once, in lower case: no other list is canonical.
        let isSorted = zip(names, names.dropFirst()).allSatisfy { $0.lexicographicallyPrecedes($1) }
        let isLowerCase = !list.contains {
            (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0)
        }
        guard isSorted, isLowerCase else { throw .signatureMismatch }
        func mustBeSigned(_ name: String, shown: String) throws(SignatureError) {
            guard !names.contains(where: { $0.elementsEqual(name.utf8) }) else { return }
            throw SignatureError(
                .invalidSignature,
                "\(shown) must be a 'SignedHeader' in the AWS Authorization."
            )
        }
        try mustBeSigned("host", shown: "'Host' or ':authority'")
        if hasTarget { try mustBeSigned("x-amz-target", shown: "'x-amz-target'") }
        if !isPresigned {
            let name = amazonDate == nil ? "date" : "x-amz-date"
            try mustBeSigned(name, shown: "'\(name)'")
        }
        return names
    }

    /// The payload's hash where a signed part of the request names it; nil where it goes without
    /// saying that it is the body's.
    func namedPayloadHash(_ parts: SignatureParts) -> [UInt8]? {
        if let contentHash,
            parts.signedHeaders.contains(where: { $0.elementsEqual("x-amz-content-sha256".utf8) })
        {
            return Array(contentHash.utf8)
        }
        guard parts.isPresigned else { return nil }
        return value("X-Amz-Content-Sha256").map { Array($0.utf8) }
    }

    /// The first value of that name; nil where it is not ASCII.
    private func value(_ name: String) -> String? {
        guard let value = query.first(where: { $0.name.utf8.elementsEqual(name.utf8) })?.value,
            value.utf8.allSatisfy({ $0 < 0x80 })
        else { return nil }
        return value
    }

    /// Whether a header has a name that is given in lower case; small enough to go where it is called,
    /// once for each header of each request.
    private static func isSame(_ name: String, _ lowercased: StaticString) -> Bool {
        isSame(
            name,
            UnsafeBufferPointer(start: lowercased.utf8Start, count: lowercased.utf8CodeUnitCount)
        )
    }

    private static func isSame(_ name: String, _ lowercased: some Collection<UInt8>) -> Bool {
        name.utf8.count == lowercased.count
            && zip(name.utf8, lowercased).allSatisfy { byte, small in
                byte == small
                    || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
                        && byte | 0x20 == small
            }
    }

    // MARK: Canonical form

    /// The canonical request up to the payload's hash.
    func canonicalHead(_ parts: SignatureParts) throws(SignatureError) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(512)
        text += head.method.utf8
        text.append(0x0a)
        if path == "/" {
            text.append(UInt8(ascii: "/"))
        } else {
            text += URIEncoding.encode(Self.normalized(path), keepSlashes: true).utf8
        }
        text.append(0x0a)
        if !query.isEmpty { text += canonicalQuery.utf8 }
        text.append(0x0a)
        for name in parts.signedHeaders {
            text += name
            text.append(UInt8(ascii: ":"))
            try appendValues(of: name, to: &text)
            text.append(0x0a)
        }
        text.append(0x0a)
        for (index, name) in parts.signedHeaders.enumerated() {
            if index > 0 { text.append(UInt8(ascii: ";")) }
            text += name
        }
        text.append(0x0a)
        return text
    }

    private func appendValues(
        of name: ArraySlice<UInt8>,
        to text: inout [UInt8]
    ) throws(SignatureError) {
        var count = 0
        for (other, value) in head.headers where Self.isSame(other, name) {
            if count > 0 { text.append(UInt8(ascii: ",")) }
            count += 1
            CanonicalForm.append(headerValue: value, to: &text)
        }
        guard count > 0 else { throw .signatureMismatch }
    }

    private var canonicalQuery: String {
        CanonicalForm.query(query.filter { !$0.name.utf8.elementsEqual("X-Amz-Signature".utf8) })
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
