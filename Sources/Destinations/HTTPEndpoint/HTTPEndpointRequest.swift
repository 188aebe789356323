internal import Compression
internal import Egress
internal import JSON
internal import Platform
internal import Records

/// Makes the requests to an endpoint (developer guide, "Understand HTTP endpoint delivery request and
/// response specifications", "Request format").
struct HTTPEndpointRequest: Sendable {
    private static let maximumResponseBytes = 1024 * 1024
    private static let defaultTimeoutSeconds = 180

    private let configuration: HTTPEndpointConfiguration
    private let entry: EndpointSettings.Entry?
    private let headers: [(name: String, value: String)]

    init(
        _ configuration: HTTPEndpointConfiguration,
        _ settings: EndpointSettings,
        streamARN: String
    ) {
        self.configuration = configuration
        entry = settings.entry(for: configuration.endpoint)
        var headers = [
            (name: "Content-Type", value: "application/json"),
            (name: "User-Agent", value: "hydrant"),
            (name: "X-Amz-Firehose-Protocol-Version", value: "1.0"),
            (name: "X-Amz-Firehose-Source-Arn", value: streamARN),
        ]
        if let key = configuration.accessKey {
            headers.append(("X-Amz-Firehose-Access-Key", key))
        }
        if !configuration.commonAttributes.isEmpty {
            let attributes = Self.text(configuration.commonAttributes)
            headers.append(("X-Amz-Firehose-Common-Attributes", attributes))
        }
        if configuration.contentEncoding == .gzip { headers.append(("Content-Encoding", "gzip")) }
        self.headers = headers
    }

    /// `{"commonAttributes": {...}}`, in ASCII, as a header must be.
    private static func text(_ attributes: [HTTPEndpointConfiguration.Attribute]) -> String {
        let members = attributes.map { attribute in
            JSONText.quoted(attribute.name) + ":" + JSONText.quoted(attribute.value)
        }
        let json = "{\"commonAttributes\":{\(members.joined(separator: ","))}}"
        return json.utf16.map { unit in
            unit < 0x80
                ? String(UnicodeScalar(UInt8(unit)))
                : "\\u" + Hexadecimal.text(UInt64(unit)).suffix(4)
        }.joined()
    }

    /// A request with records, known by `identifier`.
    func records(_ body: [UInt8], _ identifier: String) -> HTTPRequest {
        let seconds = entry?.timeoutSeconds ?? Self.defaultTimeoutSeconds
        var request = HTTPRequest(
            method: "POST",
            url: configuration.url,
            headers: headers + [("X-Amz-Firehose-Request-Id", identifier)],
            body: .bytes(body),
            timeout: .seconds(seconds),
            stallTimeout: .seconds(seconds),
            maximumResponseBytes: Self.maximumResponseBytes
        )
        request.certificateAuthorities = entry?.certificateAuthority
        return request
    }

    /// A request without any.
    func probe() -> HTTPRequest {
        var request = HTTPRequest(
            method: "HEAD",
            url: configuration.url,
            headers: [(name: "User-Agent", value: "hydrant")],
            timeout: min(.seconds(entry?.timeoutSeconds ?? .max), Reach.timeout)
        )
        request.certificateAuthorities = entry?.certificateAuthority
        return request
    }

    /// The same over retries and restarts: a version 8 UUID (RFC 9562) of the first record and
    /// their number.
    static func identifier(_ records: DeliveryRecords, _ items: [Int]) -> String {
        let first = items.first.map { records.items[$0] }
        let low = (first?.number.value ?? 0) << 16 | UInt64(items.count)
        return UUIDText.text(
            high: (first?.generation ?? 0) & ~0xf000 | 0x8000,
            low: low & ~0xf000_0000_0000_0000 | 0x8000_0000_0000_0000
        )
    }

    /// The body for some of the records, compressed where that is asked for.
    func body(
        _ records: DeliveryRecords,
        _ items: [Int],
        _ identifier: String,
        _ now: Timestamp
    ) throws -> [UInt8] {
        let body = Self.plainBody(records, items, identifier, now)
        return configuration.contentEncoding == .gzip ? try GzipCompressor.packed(body) : body
    }

    private static func plainBody(
        _ records: DeliveryRecords,
        _ items: [Int],
        _ identifier: String,
        _ now: Timestamp
    ) -> [UInt8] {
        let head = Array(
            #"{"requestId":"\#(identifier)","timestamp":\#(now.milliseconds),"records":["#.utf8
        )
        let before = Array(#"{"data":""#.utf8)
        let after = Array(#""},"#.utf8)
        let frame = before.count + after.count
        let capacity = items.reduce(head.count + 2) { sum, place in
            sum + (records.items[place].range.count + 2) / 3 * 4 + frame
        }
        return [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            let space = UnsafeMutableRawBufferPointer(buffer)
            func put(_ bytes: [UInt8]) {
                UnsafeMutableRawBufferPointer(rebasing: space[count...]).copyBytes(from: bytes)
                count += bytes.count
            }
            put(head)
            for place in items {
                let data = records.data(of: records.items[place])
                put(before)
                count += Base64.write(
                    data,
                    to: UnsafeMutableRawBufferPointer(rebasing: space[count...])
                )
                put(after)
            }
            count -= 1  // the last comma
            put(Array("]}".utf8))
        }
    }
}
