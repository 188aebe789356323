import Egress
import FirehoseAPI
import Foundation
import Records
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct FirehoseServiceTests {
    private static let one = #"{"DeliveryStreamName":"s","Record":{"Data":"aGk="}}"#

    private func call(
        _ client: HTTPClient,
        _ port: Int,
        _ operation: String,
        _ body: String
    ) async throws -> (status: Int, json: [String: Any]) {
        let response = try await client.send(
            HTTPRequest(
                method: "POST",
                url: "http://127.0.0.1:\(port)/",
                headers: [("X-Amz-Target", "Firehose_20150804.\(operation)")],
                body: .bytes(Array(body.utf8))
            )
        )
        #expect(response.header("x-amzn-RequestId")?.count == 36)
        #expect(response.header("Content-Type") == "application/x-amz-json-1.1")
        let json = try JSONSerialization.jsonObject(with: Data(response.body))
        return (response.status, json as? [String: Any] ?? [:])
    }

    @Test func `a put is answered with the id that its record got`() async throws {
        try await withServer { backend, port, client in
            let (status, json) = try await call(client, port, "PutRecord", Self.one)
            #expect(status == 200)
            #expect(json["RecordId"] as? String == "0000000000000abc0000000000000010")
            #expect(json["Encrypted"] as? Bool == false)
            #expect(backend.batches.first?.records == [Array("hi".utf8)])
        }
    }

    @Test func `a batch is answered entry by entry`() async throws {
        try await withServer { backend, port, client in
            let body = #"{"DeliveryStreamName":"s","Records":[{"Data":""},{"Data":"QQ=="}]}"#
            let (_, json) = try await call(client, port, "PutRecordBatch", body)
            let entries = json["RequestResponses"] as? [[String: String]]
            #expect(entries?.map { $0["RecordId"]?.suffix(2) } == ["10", "11"])
            #expect(json["FailedPutCount"] as? Int == 0)
            backend.refuse(with: .slowDown)
            let (status, refused) = try await call(client, port, "PutRecordBatch", body)
            #expect(status == 200)
            #expect(refused["FailedPutCount"] as? Int == 2)
            let failed = refused["RequestResponses"] as? [[String: String]]
            #expect(
                failed?.last
                    == ["ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."]
            )
            let single = try await call(client, port, "PutRecord", Self.one)
            #expect(single.status == 503)
            #expect(single.json["__type"] as? String == "ServiceUnavailableException")
        }
    }

    @Test func `however much is wrong with a request, the answer is short`() async throws {
        try await withServer { _, port, client in
            let entries = [String](repeating: "{}", count: 500_000).joined(separator: ",")
            let response = try await client.send(
                HTTPRequest(
                    method: "POST",
                    url: "http://127.0.0.1:\(port)/",
                    headers: [("X-Amz-Target", "Firehose_20150804.PutRecordBatch")],
                    body: .bytes(
                        Array(#"{"DeliveryStreamName":"s","Records":[\#(entries)]}"#.utf8)
                    )
                )
            )
            #expect(response.status == 400)
            #expect(response.body.count < 4000)
            let text = String(decoding: response.body, as: UTF8.self)
            #expect(text.contains("501 validation errors detected"))
        }
    }

    @Test func `a control-plane body has a bound of its own, packed or not`() async throws {
        try await withServer { _, port, client in
            let (status, json) = try await call(
                client,
                port,
                "CreateDeliveryStream",
                #"{"x":"\#(String(repeating: "y", count: 300_000))"}"#
            )
            #expect(status == 413)
            #expect(json["__type"] as? String == "RequestEntityTooLargeException")
        }
    }

    @Test func `each known operation is found and others are refused`() async throws {
        try await withServer { _, port, client in
            for operation in ["Nothing", "CreateDeliveryStream2"] {
                let (status, json) = try await call(client, port, operation, "{}")
                #expect(status == 400)
                #expect(json["__type"] as? String == "UnknownOperationException")
            }
            let (status, json) = try await call(client, port, "DescribeDeliveryStream", "{}")
            #expect(status == 400)
            #expect(json["__type"] as? String == "ValidationException")
        }
    }
}
