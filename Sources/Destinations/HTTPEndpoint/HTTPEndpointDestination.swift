internal import CKernels
internal import Compression
internal import Egress
internal import Foundation
internal import JSON
internal import Platform
internal import Records

/// An endpoint that speaks Firehose's own protocol over HTTP.
///
/// Source: developer guide, "Understand HTTP endpoint delivery request and response specifications".
struct HTTPEndpointDestination: RecordDestination {
    private static let maximumResponseBytes = 1024 * 1024
    private static let defaultTimeoutSeconds = 180
    private static let maximumErrorMessageCharacters = 8192

    // The guide allows 64 MiB of body; this is memory.
    let requestLimits = RequestLimits(dataBytes: 16 * 1024 * 1024, records: 10_000)
    let retryRules: RetryRules
    let errorOutputType = ErrorOutputType.httpEndpointFailed

    let url: String
    let entry: EndpointSettings.Entry?
    private let headers: [(name: String, value: String)]
    private let isCompressed: Bool
    let context: RecordDestinations.Context

    init(
        _ members: JSONValue,
        streamARN: String,
        _ settings: EndpointSettings,
        _ context: RecordDestinations.Context
    ) throws(FirehoseError) {
        let configuration = members["EndpointConfiguration"]
        let url = configuration?["Url"]?.string ?? ""
        guard let endpoint = EndpointURL(url), endpoint.userInfo == nil else {
            throw FirehoseError(
                .invalidArgument,
                "HttpEndpointDestinationConfiguration.EndpointConfiguration.Url is not a valid URL"
            )
        }
        self.url = url
        self.context = context
        entry = settings.entry(for: endpoint)
        let request = members["RequestConfiguration"]
        isCompressed = request?["ContentEncoding"]?.string == "GZIP"
        var headers = [
            (name: "Content-Type", value: "application/json"),
            (name: "User-Agent", value: "hydrant"),
            (name: "X-Amz-Firehose-Protocol-Version", value: "1.0"),
            (name: "X-Amz-Firehose-Source-Arn", value: streamARN),
        ]
        if let key = configuration?["AccessKey"]?.string, !key.isEmpty {
            headers.append(("X-Amz-Firehose-Access-Key", key))
        }
        if let attributes = request?["CommonAttributes"]?.array, !attributes.isEmpty {
            headers.append(("X-Amz-Firehose-Common-Attributes", Self.text(attributes)))
        }
        if isCompressed { headers.append(("Content-Encoding", "gzip")) }
        self.headers = headers
        let seconds = members["RetryOptions"]?["DurationInSeconds"]?.integer ?? 300
        retryRules = .ofEndpoints(seconds: seconds)
    }

    /// `{"commonAttributes": {...}}`, in ASCII, as a header must be.
    private static func text(_ attributes: [JSONValue]) -> String {
        let members = attributes.map { attribute in
            JSONText.quoted(attribute["AttributeName"]?.string ?? "") + ":"
                + JSONText.quoted(attribute["AttributeValue"]?.string ?? "")
        }
        let json = "{\"commonAttributes\":{\(members.joined(separator: ","))}}"
        return json.utf16.map { unit in
            unit < 0x80
                ? String(UnicodeScalar(UInt8(unit)))
                : "\\u" + String(repeating: "0", count: unit < 0x1000 ? 1 : 0)
                    + (unit < 0x100 ? "0" : "") + String(unit, radix: 16)
        }.joined()
    }

    // MARK: Records

    func refusals(of records: DeliveryRecords) -> [Int: DeliveryFailure] {
        var refusals: [Int: DeliveryFailure] = [:]
        for (place, item) in records.items.enumerated()
        where item.range.count > Limits.maximumRecordBytes {
            refusals[place] = DeliveryFailure(
                code: "HttpEndpoint.RecordTooLarge",
                message: "The record has \(item.range.count) bytes; an endpoint takes "
                    + "\(Limits.maximumRecordBytes)."
            )
        }
        return refusals
    }

    func failureMembers(
        of item: DeliveryRecords.Item,
        in records: DeliveryRecords
    ) -> (before: [(name: String, value: JSONValue)], after: [(name: String, value: JSONValue)]) {
        (
            [],
            [("subsequenceNumber", 0), ("dataId", .string(records.identifier(of: item)))]
        )
    }

    // MARK: Requests

    func send(_ records: DeliveryRecords, _ items: [Int]) async throws -> DeliveryAnswer {
        let identifier = Self.requestIdentifier(records, items)
        let now = context.time.now()
        let body = try await context.threads.run { [isCompressed] _ in
            let body = Self.body(records, items, identifier, now)
            return isCompressed ? try GzipCompressor.packed(body) : body
        }
        let seconds = entry?.timeoutSeconds ?? Self.defaultTimeoutSeconds
        var request = HTTPRequest(
            method: "POST",
            url: url,
            headers: headers + [("X-Amz-Firehose-Request-Id", identifier)],
            body: .bytes(body),
            timeout: .seconds(seconds),
            stallTimeout: .seconds(seconds),
            maximumResponseBytes: Self.maximumResponseBytes
        )
        request.certificateAuthorities = entry?.certificateAuthority
        let (result, waited) = try await context.send(request)
        var answer = DeliveryAnswer(all: .delivered, items.count, waited: waited)
        switch result {
        case .failure(let error):
            answer.fates = answer.fates.map { _ in .failed(Self.failure(of: error)) }
        case .success(let response):
            let failure = Self.failure(of: response, identifier)
            // Permanent, and not for the bucket of failed records (the guide).
            answer.setsAside = response.status == 413
            if let failure {
                let fate: RecordFate =
                    response.status == 413 ? .refused(failure) : .failed(failure)
                answer.fates = answer.fates.map { _ in fate }
            }
        }
        return answer
    }

    /// The same over retries and restarts: a version 8 UUID (RFC 9562) of the log, the first record and
    /// their number.
    private static func requestIdentifier(_ records: DeliveryRecords, _ items: [Int]) -> String {
        let first = items.first.map { records.items[$0].number.value } ?? 0
        var digits = Array(
            (hexadecimal(records.logIdentity) + hexadecimal(first << 16 | UInt64(items.count)))
                .utf8
        )
        digits[12] = UInt8(ascii: "8")
        digits[16] = UInt8(ascii: "8")
        return UUIDText.grouped(String(decoding: digits, as: UTF8.self))
    }

    private static func hexadecimal(_ number: UInt64) -> String {
        let text = String(number, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }

    private static func body(
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
                count += hydrant_base64_encode(
                    data.baseAddress?.assumingMemoryBound(to: UInt8.self),
                    data.count,
                    buffer.baseAddress?.advanced(by: count)
                )
                put(after)
            }
            count -= 1  // the last comma
            put(Array("]}".utf8))
        }
    }

    // MARK: Answers

    private static func failure(of error: EgressError) -> DeliveryFailure {
        let code =
            switch error.kind {
            case .timeout: "RequestTimeout"
            case .connectionLost: "ConnectionReset"
            case .responseTooLarge: "ResponseTooLarge"
            case .unresolved, .unreachable, .tls: "ConnectionFailed"
            case .other, .responseRefused, .bodyUnreadable: "InvalidResponseFromDestination"
            }
        return DeliveryFailure(code: "HttpEndpoint.\(code)", message: error.message)
    }

    /// What is wrong with an answer; nil where it says that all is well.
    private static func failure(
        of response: HTTPResponse,
        _ identifier: String
    ) -> DeliveryFailure? {
        let content = try? JSONCursor.value(of: response.body)  // what is no JSON has no members
        guard response.status == 200 else {
            let message = content?["errorMessage"]?.string ?? response.excerpt
            return DeliveryFailure(
                code: "HttpEndpoint.DestinationException",
                message: "\(response.status): "
                    + message.prefix(maximumErrorMessageCharacters)
            )
        }
        let type = response.header("Content-Type")?.prefix { $0 != ";" }
            .trimmingCharacters(in: .whitespaces).lowercased()
        let problem: String? =
            if response.header("Content-Encoding") != nil {
                "it has a Content-Encoding"
            } else if response.header("Content-Length") == nil {
                "it has no Content-Length"
            } else if type != "application/json" {
                "its Content-Type is not application/json"
            } else if content?.object == nil {
                "it is no JSON object"
            } else if content?["requestId"]?.string != identifier {
                "its requestId is not that of the request"
            } else if content?["timestamp"]?.integer == nil {
                "it has no timestamp"
            } else {
                nil
            }
        return problem.map {
            DeliveryFailure(
                code: "HttpEndpoint.InvalidResponseFromDestination",
                message: "The response is not valid: \($0)."
            )
        }
    }
}

extension RetryRules {
    /// What HTTP endpoints and Splunk are promised: from the first failure on, with 1 s times 2 to the n
    /// between attempts, 15 % more or less, at most 120 s.
    static func ofEndpoints(seconds: Int) -> RetryRules {
        RetryRules(
            duration: .seconds(seconds),
            clock: .firstFailure,
            delays: RetryDelays(base: .seconds(1), cap: .seconds(120), jitter: .about(0.15))
        )
    }
}
