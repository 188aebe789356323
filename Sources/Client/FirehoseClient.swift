internal import Crypto
internal import Egress
internal import Foundation
package import JSON
internal import Platform
package import Records
internal import SigV4

/// Calls a Firehose API as an SDK does.
package final class FirehoseClient: Sendable {
    /// An answer that is an error.
    package struct Failure: Error, CustomStringConvertible {
        /// The HTTP status; 0 where no answer came.
        package var status: Int
        /// AWS's name of the error, or the kind of trouble on the way.
        package var code: String
        /// What the server, or the system, says.
        package var message: String

        package var description: String { "\(code): \(message)" }

        /// Whether the same request may well work later.
        package var isTransient: Bool {
            let isOnTheWay = ["Unresolved", "Unreachable", "Timeout", "ConnectionLost"]
            return status == 0 && isOnTheWay.contains(code) || [408, 429].contains(status)
                || status >= 500 || code.hasPrefix("Throttling")
        }
    }

    private let endpoint: FirehoseEndpoint
    private let http = HTTPClient()
    private let signer: RequestSigner?
    /// The clock of all that it does.
    package let time: any TimeSource

    /// A client of an endpoint.
    package init(_ endpoint: FirehoseEndpoint, time: any TimeSource = SystemTime()) {
        self.endpoint = endpoint
        self.time = time
        signer = endpoint.credentials.map {
            RequestSigner(credentials: $0, region: endpoint.region, service: "firehose")
        }
    }

    /// Ends the client; call once, last.
    package func shutDown() { http.shutDown() }

    /// Whose operations.
    package enum Interface: String, Sendable {
        /// AWS's API.
        case firehose = "Firehose_20150804"
        /// This program's own.
        case hydrant = "Hydrant_20261121"
    }

    /// Calls an operation.
    ///
    /// - Throws: `Failure`; `CancellationError`.
    package func call(
        _ operation: String,
        _ input: JSONValue,
        of interface: Interface = .firehose
    ) async throws -> JSONValue {
        let body = [UInt8](try JSONEncoder().encode(input))
        return try Self.decode(try await send(operation, of: interface, body: body))
    }

    /// Reads a page of the server, such as `/metrics`.
    ///
    /// - Throws: `Failure`; `CancellationError`.
    package func page(_ path: String) async throws -> String {
        let url = endpoint.url.dropLast() + path
        let headers = [(name: "Host", value: endpoint.authority)]
        let body = try await send(
            HTTPRequest(
                method: "GET",
                url: String(url),
                headers: headers,
                maximumResponseBytes: 256 * 1024 * 1024
            )
        )
        return String(decoding: body, as: UTF8.self)
    }

    /// Puts records, 1 to 500 of at most 4 MiB.
    ///
    /// - Returns: For each record the error that it was refused with, or nil.
    /// - Throws: `Failure`; `CancellationError`.
    package func put(_ records: [[UInt8]], to stream: String) async throws -> [Failure?] {
        var body: [UInt8] = []
        body.reserveCapacity(records.reduce(100) { $0 + $1.count * 4 / 3 + 20 })
        body += #"{"DeliveryStreamName":"\#(stream)","Records":["#.utf8
        for (index, record) in records.enumerated() {
            body += (index == 0 ? #"{"Data":""# : #"},{"Data":""#).utf8
            record.withUnsafeBytes { Base64.append($0, to: &body) }
            body += #"""#.utf8
        }
        body += "}]}".utf8
        let response = try await send("PutRecordBatch", of: .firehose, body: body)
        guard let answer = try? JSONDecoder().decode(PutAnswer.self, from: Data(response)),
            answer.entries.count == records.count
        else {
            throw Failure(
                status: 200,
                code: "InvalidResponse",
                message: "the answer is not one for \(records.count) records"
            )
        }
        return answer.entries.map { entry in
            guard entry.recordID == nil else { return nil }
            return Failure(
                status: 503,
                code: entry.errorCode ?? "InternalFailure",
                message: entry.errorMessage ?? ""
            )
        }
    }

    /// PutRecordBatchOutput (API model).
    private struct PutAnswer: Decodable {
        struct Entry: Decodable {
            var recordID: String?
            var errorCode: String?
            var errorMessage: String?

            enum CodingKeys: String, CodingKey {
                case recordID = "RecordId"
                case errorCode = "ErrorCode"
                case errorMessage = "ErrorMessage"
            }
        }

        var entries: [Entry]

        enum CodingKeys: String, CodingKey { case entries = "RequestResponses" }
    }

    /// Sends a request, and gives the body of an answer that is not an error.
    private func send(
        _ operation: String,
        of interface: Interface,
        body: [UInt8]
    ) async throws -> [UInt8] {
        var headers: [(name: String, value: String)] = [
            ("Host", endpoint.authority),
            ("Content-Type", "application/x-amz-json-1.1"),
            ("X-Amz-Target", "\(interface.rawValue).\(operation)"),
        ]
        if let signer {
            let request = RequestSigner.Request(
                method: "POST",
                path: "/",
                headers: headers,
                payloadHash: Hexadecimal.text(SHA256.hash(data: body))
            )
            headers = signer.sign(request, at: time.now())
        }
        return try await send(
            HTTPRequest(
                method: "POST",
                url: endpoint.url,
                headers: headers,
                body: .bytes(body),
                maximumResponseBytes: 16 * 1024 * 1024
            )
        )
    }

    private func send(_ request: HTTPRequest) async throws -> [UInt8] {
        var request = request
        request.certificateAuthorities = endpoint.certificateAuthorities
        let response: HTTPResponse
        do {
            response = try await http.send(request)
        } catch let error as EgressError {
            throw Failure(
                status: 0,
                code: error.kind.rawValue,
                message: "\(error.message) (\(endpoint.url))"
            )
        }
        guard response.status != 200 else { return response.body }
        let answer = try? Self.decode(response.body)
        throw Failure(
            status: response.status,
            code: Self.name(ofType: answer?["__type"]?.string) ?? "HTTP\(response.status)",
            message: answer?["message"]?.string ?? answer?["Message"]?.string
                ?? String(decoding: response.body.prefix(200), as: UTF8.self)
        )
    }

    /// Some servers write a namespace before the name: `com.amazonaws.firehose#Name`.
    private static func name(ofType type: String?) -> String? {
        type.map { String($0.split(separator: "#").last ?? "") }
    }

    private static func decode(_ body: [UInt8]) throws -> JSONValue {
        guard !body.isEmpty else { return [:] }
        guard let value = try? JSONDecoder().decode(JSONValue.self, from: Data(body)) else {
            throw Failure(status: 200, code: "InvalidResponse", message: "the answer is not JSON")
        }
        return value
    }
}
