internal import Egress
internal import Foundation
internal import JSON
internal import Platform
internal import Records

/// Splunk's HTTP Event Collector with indexer acknowledgement.
///
/// Source: Splunk documentation, "HTTP Event Collector" and "About HTTP Event Collector Indexer
/// Acknowledgment"; developer guide, "Understand data delivery in Amazon Data Firehose", Splunk.
struct SplunkDestination: RecordDestination {
    private static let maximumResponseBytes = 1024 * 1024
    private static let defaultTimeoutSeconds = 60
    private static let maximumDepth = 512

    // The largest buffer has 5 MiB; transformed records may be more.
    let requestLimits = RequestLimits(dataBytes: 5 * 1024 * 1024, records: 50_000)
    let retryRules: RetryRules
    let errorOutputType = ErrorOutputType.splunkFailed

    private let endpoint: EndpointURL
    private let isEvent: Bool
    private let token: String
    private let acknowledgementTimeout: Duration
    private let entry: EndpointSettings.Entry?
    let context: RecordDestinations.Context
    /// Which acknowledgements are ours.
    private let channel = UUID().uuidString.lowercased()

    init(
        _ members: JSONValue,
        _ settings: EndpointSettings,
        _ context: RecordDestinations.Context
    ) throws(FirehoseError) {
        guard let endpoint = EndpointURL(members["HECEndpoint"]?.string ?? ""),
            endpoint.userInfo == nil
        else {
            throw FirehoseError(
                .invalidArgument,
                "SplunkDestinationConfiguration.HECEndpoint is not a valid URL"
            )
        }
        self.endpoint = endpoint
        self.context = context
        entry = settings.entry(for: endpoint)
        isEvent = members["HECEndpointType"]?.string == "Event"
        token = members["HECToken"]?.string ?? ""
        acknowledgementTimeout = .seconds(
            members["HECAcknowledgmentTimeoutInSeconds"]?.integer ?? 180
        )
        retryRules = .ofEndpoints(
            seconds: members["RetryOptions"]?["DurationInSeconds"]?.integer ?? 300
        )
    }

    // MARK: Records

    func refusals(of records: DeliveryRecords) -> [Int: DeliveryFailure] {
        guard isEvent else { return [:] }
        var refusals: [Int: DeliveryFailure] = [:]
        for (place, item) in records.items.enumerated() {
            do throws(JSONCursor.Failure) {
                try Self.checkEvents(records.data(of: item).bindMemory(to: UInt8.self).span)
            } catch {
                refusals[place] = DeliveryFailure(
                    code: "Splunk.InvalidDataFormat",
                    message: "The record is not a HEC event: \(error)."
                )
            }
        }
        return refusals
    }

    /// One or more objects, each with an event that is neither null nor blank.
    private static func checkEvents(_ json: Span<UInt8>) throws(JSONCursor.Failure) {
        var cursor = JSONCursor(maximumDepth: maximumDepth)
        repeat {
            try cursor.expect(UInt8(ascii: "{"), json)
            var hasEvent = false
            if !cursor.take(UInt8(ascii: "}"), json) {
                repeat {
                    let name = try cursor.string(json)
                    try cursor.expect(UInt8(ascii: ":"), json)
                    let isEvent = cursor.text(name, json) == "event"
                    let first = cursor.peek(json)
                    let start = cursor.at
                    try cursor.skipValue(json)
                    let isBlank =
                        first == UInt8(ascii: "n")
                        || cursor.at - start == 2
                            && first == UInt8(ascii: "\"")
                    if isEvent { hasEvent = !isBlank }
                } while cursor.take(UInt8(ascii: ","), json)
                try cursor.expect(UInt8(ascii: "}"), json)
            }
            guard hasEvent else { throw cursor.failure("an object without an event") }
        } while cursor.peek(json) != nil
    }

    func failureMembers(
        of item: DeliveryRecords.Item,
        in records: DeliveryRecords
    ) -> (before: [(name: String, value: JSONValue)], after: [(name: String, value: JSONValue)]) {
        ([], [("EventId", .string(records.identifier(of: item) + ".0"))])
    }

    // MARK: Requests

    func send(_ records: DeliveryRecords, _ items: [Int]) async throws -> DeliveryAnswer {
        let body = try await context.threads.run { _ in Self.body(records, items) }
        let start = context.time.now()
        let path = isEvent ? "/services/collector/event" : "/services/collector/raw"
        let (result, _) = try await context.send(request(path, body, cookies: ""))
        var failure: DeliveryFailure?
        switch result {
        case .failure(let error): failure = Self.failure(of: error)
        case .success(let response):
            let content = try? JSONCursor.value(of: response.body)  // no JSON has no members
            if response.status != 200 {
                failure = Self.failure(of: response, content)
            } else if let ack = content?["ackId"]?.integer {
                var answer = DeliveryAnswer(
                    all: .delivered,
                    items.count,
                    waited: context.time.now() - start
                )
                answer.confirmation = { [self, count = items.count] in
                    let failure = try await acknowledgement(
                        ack,
                        since: start,
                        Self.cookies(of: response)
                    )
                    return DeliveryAnswer(
                        all: failure.map { .failed($0) } ?? .delivered,
                        count,
                        waited: context.time.now() - start
                    )
                }
                return answer
            } else {
                failure = DeliveryFailure(
                    code: "Splunk.DisabledAck",
                    message: "Splunk gave no ackId: is indexer acknowledgement on for the token?"
                )
            }
        }
        let waited = context.time.now() - start
        let fate: RecordFate =
            switch failure {
            case nil: .delivered
            case let failure? where failure.code == "Splunk.InvalidDataFormat": .refused(failure)
            case let failure?: .failed(failure)
            }
        return DeliveryAnswer(all: fate, items.count, waited: waited)
    }

    private static func body(_ records: DeliveryRecords, _ items: [Int]) -> [UInt8] {
        var body: [UInt8] = []
        body.reserveCapacity(items.reduce(0) { $0 + records.items[$1].range.count })
        for place in items { body += records.data(of: records.items[place]) }
        return body
    }

    func request(_ path: String, _ body: [UInt8], cookies: String) -> HTTPRequest {
        var headers = [
            (name: "Authorization", value: "Splunk \(token)"),
            (name: "X-Splunk-Request-Channel", value: channel),
            (name: "User-Agent", value: "hydrant"),
            (name: "Content-Type", value: isEvent ? "application/json" : "text/plain"),
        ]
        if !cookies.isEmpty { headers.append(("Cookie", cookies)) }
        let seconds = entry?.timeoutSeconds ?? Self.defaultTimeoutSeconds
        var request = HTTPRequest(
            method: "POST",
            url: "\(endpoint.text)\(path)?channel=\(channel)",
            headers: headers,
            body: .bytes(body),
            timeout: .seconds(seconds),
            stallTimeout: .seconds(seconds),
            maximumResponseBytes: Self.maximumResponseBytes
        )
        request.certificateAuthorities = entry?.certificateAuthority
        return request
    }

    /// What a balancer wants to see again, so that it asks the indexer that has the data.
    private static func cookies(of response: HTTPResponse) -> String {
        response.headers.filter { $0.name.lowercased() == "set-cookie" }
            .map { String($0.value.prefix { $0 != ";" }) }.joined(separator: "; ")
    }

    /// Asks until the data is indexed, or until the time for that is up.
    ///
    /// - Returns: What went wrong; nil where the data is indexed.
    private func acknowledgement(
        _ ack: Int,
        since start: Timestamp,
        _ cookies: String
    ) async throws -> DeliveryFailure? {
        let deadline = start + acknowledgementTimeout
        var pause: Duration = .seconds(1)
        while context.time.now() < deadline {
            try await context.time.sleep(until: min(deadline, context.time.now() + pause))
            pause = min(.seconds(10), pause * 2)
            let body = Array(#"{"acks":[\#(ack)]}"#.utf8)
            let request = request("/services/collector/ack", body, cookies: cookies)
            // What could not be asked is asked again: the data may well be there.
            guard case (.success(let response), _) = try await context.send(request) else {
                continue
            }
            let content = try? JSONCursor.value(of: response.body)  // no JSON has no members
            if content?["code"]?.integer == 14 { return Self.failure(of: response, content) }
            if response.status == 400 || response.status == 404 {
                return DeliveryFailure(
                    code: "Splunk.ProxyWithoutStickySessions",
                    message: "\(response.status): \(response.excerpt)"
                )
            }
            if content?["acks"]?["\(ack)"]?.boolean == true { return nil }
        }
        return DeliveryFailure(
            code: "Splunk.AckTimeout",
            message: "Splunk did not acknowledge the data in time."
        )
    }

    // MARK: Failures

    private static func failure(of error: EgressError) -> DeliveryFailure {
        let code =
            switch error.kind {
            case .timeout: "ConnectionTimeout"
            case .unresolved: "InvalidEndpoint"
            case .tls: "SSLHandshake"
            case .unreachable, .connectionLost: "ConnectionClosed"
            case .responseTooLarge, .responseRefused, .bodyUnreadable, .other: "ServerError"
            }
        return DeliveryFailure(code: "Splunk.\(code)", message: error.message)
    }

    private static func failure(
        of response: HTTPResponse,
        _ content: JSONValue?
    ) -> DeliveryFailure {
        let code =
            switch (content?["code"]?.integer, response.status) {
            // Their own codes for these are those of HTTP.
            case (_, 404), (_, 405): "InvalidEndpoint"
            case (1, _), (22, _): "DisabledToken"
            case (2, _), (3, _), (4, _), (21, _): "InvalidToken"
            case (5, _), (6, _), (12, _), (13, _), (15, _): "InvalidDataFormat"
            case (7, _): "InvalidIndex"
            case (14, _): "DisabledAck"
            case (nil, 401), (nil, 403): "InvalidToken"
            default: "ServerError"
            }
        return DeliveryFailure(
            code: "Splunk.\(code)",
            message: "\(response.status): \(content?["text"]?.string ?? response.excerpt)"
        )
    }
}
