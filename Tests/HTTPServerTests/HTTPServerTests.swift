import Egress
import Foundation
import Ingest
import Records
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct IngestServerTests {
    private static let one = #"{"DeliveryStreamName":"s","Record":{"Data":"aGk="}}"#

    private static func head(_ operation: String, _ more: String = "") -> String {
        "POST / HTTP/1.1\r\nHost: h\r\nX-Amz-Target: Firehose_20150804.\(operation)\r\n\(more)"
    }

    private static func put(_ body: String = one, _ more: String = "") -> String {
        head("PutRecord", "\(more)Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
    }

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

    @Test func `pipelined requests are answered in order on one connection`() async throws {
        try await withServer { _, port, _ in
            let parts = [Self.put() + Self.put("{") + Self.put(Self.one, "Connection: close\r\n")]
            let text = try await exchange(port, parts)
            let codes = text.matches(of: #/HTTP\/1\.1 (\d+)/#).map { $0.1 }
            #expect(codes == ["200", "400", "200"])
        }
    }

    @Test func `a client that waits for 100 Continue gets it`() async throws {
        try await withServer { _, port, _ in
            let text = try await exchange(
                port,
                [
                    Self.head(
                        "PutRecord",
                        "Expect: 100-continue\r\nContent-Length: \(Self.one.utf8.count)\r\n\r\n"
                    ),
                    Self.one,
                ]
            ) { $0.contains("RecordId") }
            #expect(text.hasPrefix("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"))
        }
    }

    @Test func `too large a body is answered 413, before it is sent and while it is`() async throws
    {
        try await withServer { backend, port, _ in
            let early = try await exchange(
                port,
                [Self.head("PutRecord", "Expect: 100-continue\r\nContent-Length: 9000000\r\n\r\n")]
            ) { $0.contains("RequestEntityTooLarge") }
            #expect(early.hasPrefix("HTTP/1.1 413"))
            let whole = try await exchange(
                port,
                [
                    Self.head("PutRecord", "Content-Length: 9000000\r\n\r\n"),
                    String(repeating: "x", count: 9_000_000),
                ]
            )
            #expect(whole.hasPrefix("HTTP/1.1 413"))
            let chunk = "100000\r\n" + String(repeating: "x", count: 0x100000) + "\r\n"
            let chunked = try await exchange(
                port,
                [Self.head("PutRecord", "Transfer-Encoding: chunked\r\n\r\n")]
                    + [String](repeating: chunk, count: 9) + ["0\r\n\r\n"]
            )
            #expect(chunked.hasPrefix("HTTP/1.1 413"))
            #expect(backend.batches.isEmpty)
        }
    }

    @Test func `chunked bodies in small pieces are put together`() async throws {
        try await withServer { backend, port, _ in
            let pieces = Self.one.map { "1\r\n\($0)\r\n" } + ["0\r\n\r\n"]
            let text = try await exchange(
                port,
                [Self.head("PutRecord", "Transfer-Encoding: chunked\r\n\r\n")] + pieces
            ) { $0.contains("RecordId") }
            #expect(text.hasPrefix("HTTP/1.1 200"))
            #expect(backend.batches.first?.records == [Array("hi".utf8)])
        }
    }

    @Test func `idle and slow connections are closed in time`() async throws {
        let options = IngestOptions(
            idleTimeout: .seconds(1),
            requestTimeout: .seconds(1)
        )
        try await withServer(options) { _, port, _ in
            let idle = try await exchange(port, [])
            let slowHead = try await exchange(port, ["POST / HT"])
            #expect(idle == "" && slowHead == "")
            let slow = try await exchange(
                port,
                [Self.head("PutRecord", "Content-Length: 100\r\n\r\nabc")]
            )
            #expect(slow.hasPrefix("HTTP/1.1 408"))
        }
    }

    @Test func `requests wait for memory, and none is lost`() async throws {
        // Room for one body at a time.
        let options = IngestOptions(
            maximumBodiesInMemoryBytes: Limits.maximumRequestBodyBytes
        )
        try await withServer(options) { backend, port, _ in
            let text = String(repeating: "QUJD", count: 300_000)
            let body = #"{"DeliveryStreamName":"s","Record":{"Data":"\#(text)"}}"#
            try await withThrowingTaskGroup(of: String.self) { group in
                for index in 0..<20 {
                    group.addTask {
                        let length = "Content-Length: \(body.utf8.count)\r\n\r\n"
                        let chunked = "Transfer-Encoding: chunked\r\n\r\n"
                        let size = String(body.utf8.count, radix: 16)
                        return try await exchange(
                            port,
                            index % 3 == 0
                                ? [
                                    Self.head("PutRecord", chunked),
                                    "\(size)\r\n\(body)\r\n0\r\n\r\n",
                                ]
                                : [Self.head("PutRecord", length), body]
                        ) { $0.contains("RecordId") }
                    }
                }
                for try await text in group { #expect(text.hasPrefix("HTTP/1.1 200")) }
            }
            #expect(backend.batches.count == 20)
        }
    }

    @Test func `connections that break in the middle give their memory back`() async throws {
        let options = IngestOptions(
            maximumBodiesInMemoryBytes: Limits.maximumRequestBodyBytes
        )
        try await withServer(options) { _, port, client in
            for _ in 0..<5 {
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<6 {
                        group.addTask {
                            _ = try? await exchange(
                                port,
                                [
                                    "GET /health HTTP/1.1\r\n\r\n"
                                        + Self.head("PutRecord", "Content-Length: 8000000\r\n\r\nx")
                                ]
                            ) { $0.contains("ok") }
                        }
                    }
                }
            }
            let (status, _) = try await call(client, port, "PutRecord", Self.one)
            #expect(status == 200)
        }
    }

    @Test func `thousands of pipelined requests are answered one after the other`() async throws {
        try await withServer { _, port, _ in
            let flood = String(repeating: "GET /health HTTP/1.1\r\n\r\n", count: 40_000)
            let last = "GET /health HTTP/1.1\r\nConnection: close\r\n\r\n"
            let text = try await exchange(port, [Self.put() + flood + last])
            #expect(text.matches(of: #/HTTP\/1\.1 200/#).count == 40_002)
        }
    }

    @Test func `a request that begins after the connection was refused takes nothing`() async throws
    {
        let options = IngestOptions(
            maximumBodiesInMemoryBytes: Limits.maximumRequestBodyBytes
        )
        try await withServer(options) { _, port, client in
            let chunk = "900000\r\n" + String(repeating: "x", count: 0x900000) + "\r\n"
            for _ in 0..<3 {
                let text = try await exchange(
                    port,
                    [
                        Self.head("PutRecord", "Transfer-Encoding: chunked\r\n\r\n"), chunk,
                        "0\r\n\r\n" + Self.head("PutRecord", "Content-Length: 8388608\r\n\r\nabc"),
                    ]
                )
                #expect(text.hasPrefix("HTTP/1.1 413"))
            }
            let (status, _) = try await call(client, port, "PutRecord", Self.one)
            #expect(status == 200)
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

    @Test func `HEAD has no body, and a request for an upgrade ends its connection`() async throws {
        try await withServer { _, port, _ in
            let head = try await exchange(
                port,
                ["HEAD /health HTTP/1.1\r\nConnection: close\r\n\r\n"]
            )
            #expect(head.hasSuffix("\r\n\r\n"))
            let upgrade = try await exchange(
                port,
                [Self.put(Self.one, "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n")]
            )
            #expect(upgrade.contains("RecordId") && upgrade.contains("Connection: close"))
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

    @Test func `health is answered, other places and methods are not`() async throws {
        try await withServer { _, port, client in
            for (method, path, expected) in [
                ("GET", "/health", 200), ("HEAD", "/health", 200), ("GET", "/", 405),
                ("POST", "/elsewhere", 404),
            ] {
                let response = try await client.send(
                    HTTPRequest(method: method, url: "http://127.0.0.1:\(port)\(path)")
                )
                #expect(response.status == expected, "\(method) \(path)")
            }
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
