internal import Egress
internal import Foundation
internal import JSON
internal import Records

/// An answer of an endpoint (developer guide, "Understand HTTP endpoint delivery request and response
/// specifications", "Response format").
struct HTTPEndpointResponse {
    private static let maximumErrorMessageCharacters = 8192

    private let response: HTTPResponse
    private let content: JSONValue?

    init(_ response: HTTPResponse) {
        self.response = response
        content = try? JSONCursor.value(of: response.body)  // what is no JSON has no members
    }

    /// Whether it says that the request is too large: permanent, and not for the bucket of failed
    /// records (the guide).
    var isTooLarge: Bool { response.status == 413 }

    /// What is wrong with an answer to a request; nil where it says that all is well.
    func failure(_ identifier: String) -> HTTPEndpointFailure? {
        guard response.status == 200 else {
            let message = content?["errorMessage"]?.string ?? response.excerpt
            return HTTPEndpointFailure(
                .destinationException,
                "\(response.status): " + message.prefix(Self.maximumErrorMessageCharacters)
            )
        }
        return problem(identifier).map {
            HTTPEndpointFailure(.invalidResponse, "The response is not valid: \($0).")
        }
    }

    private func problem(_ identifier: String) -> String? {
        let type = response.header("Content-Type")?.prefix { $0 != ";" }
            .trimmingCharacters(in: .whitespaces).lowercased()
        return if response.header("Content-Encoding") != nil {
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
    }
}

/// What went wrong, by Firehose's codes (developer guide, "HTTP endpoint data delivery errors").
struct HTTPEndpointFailure {
    /// Firehose's codes, without what they all begin with.
    enum Code: String {
        case connectionFailed = "ConnectionFailed"
        case connectionReset = "ConnectionReset"
        case destinationException = "DestinationException"
        case invalidResponse = "InvalidResponseFromDestination"
        case recordTooLarge = "RecordTooLarge"
        case requestTimeout = "RequestTimeout"
        case responseTooLarge = "ResponseTooLarge"
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
            case .timeout: .requestTimeout
            case .connectionLost: .connectionReset
            case .responseTooLarge: .responseTooLarge
            case .unresolved, .unreachable, .tls: .connectionFailed
            case .other, .responseRefused, .bodyUnreadable: .invalidResponse
            }
        message = error.message
    }

    /// As it is told of records.
    var failure: DeliveryFailure {
        DeliveryFailure(code: "HttpEndpoint.\(code.rawValue)", message: message)
    }
}
