internal import Egress
internal import JSON
internal import Records

/// An answer of a collector (Splunk documentation, "HTTP Event Collector REST API endpoints").
struct SplunkResponse {
    /// The status of HTTP.
    let status: Int
    /// Splunk's own status; nil where it says none.
    let code: Int?
    /// The number under which the data is acknowledged later.
    let acknowledgement: Int?
    private let content: JSONValue?
    private let response: HTTPResponse

    /// Splunk's statuses that decisions are made by.
    enum Code {
        static let success = 0
        static let noData = 5
        static let acknowledgementIsDisabled = 14
        static let tokenIsDisabled: Set<Int> = [1, 22]
        static let tokenIsInvalid: Set<Int> = [2, 3, 4, 21]
        static let dataIsInvalid: Set<Int> = [5, 6, 12, 13, 15]
        static let indexIsInvalid = 7
    }

    init(_ response: HTTPResponse) {
        self.response = response
        status = response.status
        content = try? JSONCursor.value(of: response.body)  // what is no JSON has no members
        code = content?["code"]?.integer
        acknowledgement = content?["ackId"]?.integer
    }

    /// Whether data is indexed, where the answer is one to a question for that.
    func isAcknowledged(_ number: Int) -> Bool {
        content?["acks"]?["\(number)"]?.boolean == true
    }

    /// What a balancer wants to see again, so that it asks the indexer that has the data.
    var cookies: String {
        response.headers.filter { $0.name.lowercased() == "set-cookie" }
            .map { String($0.value.prefix { $0 != ";" }) }.joined(separator: "; ")
    }

    /// The status and the beginning of the body, for an operator.
    var excerpt: String { "\(status): \(response.excerpt)" }

    /// What an answer that is no success says.
    var failure: SplunkFailure {
        SplunkFailure(failureCode, "\(status): \(content?["text"]?.string ?? response.excerpt)")
    }

    private var failureCode: SplunkFailure.Code {
        // Splunk's own codes for these are those of HTTP.
        if [404, 405].contains(status) { return .invalidEndpoint }
        guard let code else { return [401, 403].contains(status) ? .invalidToken : .serverError }
        if Code.tokenIsDisabled.contains(code) { return .disabledToken }
        if Code.tokenIsInvalid.contains(code) { return .invalidToken }
        if Code.dataIsInvalid.contains(code) { return .invalidDataFormat }
        if code == Code.indexIsInvalid { return .invalidIndex }
        return code == Code.acknowledgementIsDisabled ? .disabledAck : .serverError
    }
}

/// What went wrong, by Firehose's codes (developer guide, "Splunk data delivery errors").
struct SplunkFailure {
    /// Firehose's codes, without what they all begin with.
    enum Code: String {
        case ackTimeout = "AckTimeout"
        case connectionClosed = "ConnectionClosed"
        case connectionTimeout = "ConnectionTimeout"
        case disabledAck = "DisabledAck"
        case disabledToken = "DisabledToken"
        case invalidDataFormat = "InvalidDataFormat"
        case invalidEndpoint = "InvalidEndpoint"
        case invalidIndex = "InvalidIndex"
        case invalidToken = "InvalidToken"
        case proxyWithoutStickySessions = "ProxyWithoutStickySessions"
        case serverError = "ServerError"
        case tlsHandshake = "SSLHandshake"
    }

    let code: Code
    let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// What went wrong where there is no answer.
    init(_ error: EgressError) {
        code =
            switch error.kind {
            case .timeout: .connectionTimeout
            case .unresolved: .invalidEndpoint
            case .tls: .tlsHandshake
            case .unreachable, .connectionLost: .connectionClosed
            case .responseTooLarge, .responseRefused, .bodyUnreadable, .other: .serverError
            }
        message = error.message
    }

    /// As it is told of records.
    var failure: DeliveryFailure {
        DeliveryFailure(code: "Splunk.\(code.rawValue)", message: message)
    }

    /// What becomes of records: what is no event will never be one.
    var fate: RecordFate {
        code == .invalidDataFormat ? .refused(failure) : .failed(failure)
    }
}
