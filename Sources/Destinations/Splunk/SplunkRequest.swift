internal import Egress
internal import Platform
internal import Records

/// Makes the requests to a collector, all on one channel.
struct SplunkRequest: Sendable {
    private static let maximumResponseBytes = 1024 * 1024
    private static let defaultTimeoutSeconds = 60

    private let configuration: SplunkConfiguration
    private let entry: EndpointSettings.Entry?
    /// Which acknowledgements are ours.
    private let channel = UUIDText.random()

    init(_ configuration: SplunkConfiguration, _ settings: EndpointSettings) {
        self.configuration = configuration
        entry = settings.entry(for: configuration.endpoint)
    }

    /// A request with records.
    func records(_ body: [UInt8]) -> HTTPRequest {
        switch configuration.endpointType {
        case .event: make("/services/collector/event", body)
        case .raw: make("/services/collector/raw", body)
        }
    }

    /// A request without any, to which the collector says whether it knows the token.
    func probe() -> HTTPRequest { make("/services/collector/raw", []) }

    /// A question for an acknowledgement, with the cookies of the answer that it is for.
    func acknowledgement(_ number: Int, cookies: String) -> HTTPRequest {
        make("/services/collector/ack", Array(#"{"acks":[\#(number)]}"#.utf8), cookies: cookies)
    }

    private func make(_ path: String, _ body: [UInt8], cookies: String = "") -> HTTPRequest {
        let contentType =
            configuration.endpointType == .event ? "application/json" : "text/plain"
        var headers = [
            (name: "Authorization", value: "Splunk \(configuration.token)"),
            (name: "X-Splunk-Request-Channel", value: channel),
            (name: "User-Agent", value: "hydrant"),
            (name: "Content-Type", value: contentType),
        ]
        if !cookies.isEmpty { headers.append(("Cookie", cookies)) }
        let seconds = entry?.timeoutSeconds ?? Self.defaultTimeoutSeconds
        var request = HTTPRequest(
            method: "POST",
            url: "\(configuration.endpoint.text)\(path)?channel=\(channel)",
            headers: headers,
            body: .bytes(body),
            timeout: .seconds(seconds),
            stallTimeout: .seconds(seconds),
            maximumResponseBytes: Self.maximumResponseBytes
        )
        request.certificateAuthorities = entry?.certificateAuthority
        return request
    }

    /// The records, one behind the other.
    static func body(_ records: DeliveryRecords, _ items: [Int]) -> [UInt8] {
        var body: [UInt8] = []
        body.reserveCapacity(items.reduce(0) { $0 + records.items[$1].range.count })
        for place in items { body += records.data(of: records.items[place]) }
        return body
    }
}
