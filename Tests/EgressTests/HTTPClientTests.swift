import Egress
import Foundation
import Platform
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct HTTPClientTests {
    private static let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nhi"

    private static func isWhole(_ text: String) -> Bool { text.contains("\r\n\r\n") }

    @Test func `an answer comes whole, and the connection is used again`() async throws {
        let server = try await RawServer { Self.isWhole($0) ? .answer(Self.ok) : nil }
        let client = HTTPClient()
        for _ in 0..<5 {
            let response = try await client.send(
                HTTPRequest(method: "GET", url: "http://127.0.0.1:\(server.port)/x")
            )
            #expect(response.status == 200)
            #expect(response.header("x-a") == "b")
            #expect(response.body == Array("hi".utf8))
        }
        #expect(server.connections == 1)
        client.shutDown()
        try await server.stop()
    }

    @Test func `a path goes over the wire as it was given`() async throws {
        let server = try await RawServer { text in
            guard Self.isWhole(text) else { return nil }
            let right = text.hasPrefix("PUT /b/../a//b/%2E./c%20d?x HTTP/1.1\r\n")
            return .answer(
                right ? Self.ok : "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
            )
        }
        let client = HTTPClient()
        let url = "http://127.0.0.1:\(server.port)/b/../a//b/%2E./c%20d?x"
        let response = try await client.send(
            HTTPRequest(method: "PUT", url: url, body: .bytes([]))
        )
        #expect(response.status == 200)
        client.shutDown()
        try await server.stop()
    }

    @Test func `a file is sent from its start, and again on a new connection`() async throws {
        let folder = TemporaryFolder()
        let file = try File(folder("body"), .replace)
        let content = String(repeating: "0123456789", count: 10_000)
        try file.write(Array(content.utf8), at: 0)
        let server = try await RawServer { text in
            guard let end = text.range(of: "\r\n\r\n") else { return nil }
            let body = text[end.upperBound...]
            guard body.utf8.count == content.utf8.count else { return nil }
            let status = body == content ? "200 OK" : "400 Bad Request"
            // Closed without a word: the next request finds a dead connection.
            return .answerAndClose("HTTP/1.1 \(status)\r\nContent-Length: 0\r\n\r\n")
        }
        let client = HTTPClient()
        for _ in 0..<10 {
            let response = try await client.send(
                HTTPRequest(
                    method: "PUT",
                    url: "http://127.0.0.1:\(server.port)/",
                    body: .source(file, count: UInt64(content.utf8.count))
                )
            )
            #expect(response.status == 200)
        }
        client.shutDown()
        try await server.stop()
    }

    @Test func `each way to fail has its kind`() async throws {
        let client = HTTPClient()
        func kind(_ request: HTTPRequest) async -> EgressError.Kind? {
            do {
                _ = try await client.send(request)
                return nil
            } catch {
                return (error as? EgressError)?.kind
            }
        }
        let silent = try await RawServer { _ in nil }
        let closing = try await RawServer { Self.isWhole($0) ? .close : nil }
        let short = try await RawServer {
            Self.isWhole($0)
                ? .answerAndClose("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi") : nil
        }
        let url = { (port: Int) in "http://127.0.0.1:\(port)/" }
        #expect(
            await kind(
                HTTPRequest(method: "GET", url: url(silent.port), timeout: .milliseconds(50))
            )
                == .timeout
        )
        #expect(await kind(HTTPRequest(method: "GET", url: url(closing.port))) == .connectionLost)
        #expect(await kind(HTTPRequest(method: "GET", url: url(short.port))) == .connectionLost)
        #expect(
            await kind(
                HTTPRequest(
                    method: "GET",
                    url: url(short.port),
                    maximumResponseBytes: 1
                )
            )
                == .responseTooLarge
        )
        let port = silent.port
        for server in [silent, closing, short] { try await server.stop() }
        #expect(await kind(HTTPRequest(method: "GET", url: url(port))) == .unreachable)
        client.shutDown()
    }

    @Test func `a request that was sent may have arrived, though the next connection is refused`()
        async throws
    {
        let server = try await RawServer { text in
            guard let end = text.range(of: "\r\n\r\n") else { return nil }
            let body = text[end.upperBound...]
            guard body.utf8.count == 4 else { return nil }
            // Read, and dead: as a node that dies when it has done what it was asked to.
            return body == "last" ? .closeAndStop : .answer(Self.ok)
        }
        let client = HTTPClient()
        func send(_ body: String) async throws {
            _ = try await client.send(
                HTTPRequest(
                    method: "POST",
                    url: "http://127.0.0.1:\(server.port)/",
                    body: .bytes(Array(body.utf8))
                )
            )
        }
        try await send("once")
        let error = await #expect(throws: EgressError.self) { try await send("last") }
        #expect(error?.mayHaveArrived == true)
        let next = await #expect(throws: EgressError.self) { try await send("gone") }
        #expect(next?.kind == .unreachable)
        #expect(next?.mayHaveArrived == false)
        client.shutDown()
    }

    @Test func `a line break in a header never reaches the wire`() async throws {
        let client = HTTPClient()
        for header in [("X-A", "b\r\nX-Evil: 1"), ("X-A\n", "b"), ("X-A", "b\0")] {
            await #expect(throws: EgressError.self) {
                try await client.send(
                    HTTPRequest(method: "GET", url: "http://127.0.0.1:9/", headers: [header])
                )
            }
        }
        client.shutDown()
    }

    @Test func `cancellation ends a request, also one that has not begun`() async throws {
        let server = try await RawServer { _ in nil }
        let client = HTTPClient()
        let request = HTTPRequest(method: "GET", url: "http://127.0.0.1:\(server.port)/")
        for isEarly in [true, false] {
            let task = Task { try await client.send(request) }
            if !isEarly {
                while server.connections == 0 { await Task.yield() }
            }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
        client.shutDown()
        try await server.stop()
    }

    @Test func `a shut-down client ends what is under way and takes nothing more`() async throws {
        let server = try await RawServer { _ in nil }
        let client = HTTPClient()
        let request = HTTPRequest(method: "GET", url: "http://127.0.0.1:\(server.port)/")
        let task = Task { try await client.send(request) }
        while server.connections == 0 { await Task.yield() }
        client.shutDown()
        await #expect(throws: CancellationError.self) { try await task.value }
        await #expect(throws: CancellationError.self) { try await client.send(request) }
        try await server.stop()
    }
}
