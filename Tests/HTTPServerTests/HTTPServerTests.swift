import Egress
import HTTPServer
import NIOCore
import Records
import Synchronization
import TestSupport
import Testing

private final class Flag: Sendable {
    private let value = Atomic(false)

    var isSet: Bool { value.load(ordering: .relaxed) }

    func set() { value.store(true, ordering: .relaxed) }
}

@Suite(.timeLimit(.minutes(1))) struct HTTPServerTests {
    private static let one = "hello"

    private static func head(_ more: String = "") -> String {
        "POST / HTTP/1.1\r\nHost: h\r\nX-Amz-Target: Echo.Say\r\n\(more)"
    }

    private static func say(_ body: String = one, _ more: String = "") -> String {
        head("\(more)Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
    }

    @Test func `pipelined requests are answered in order on one connection`() async throws {
        try await withServer { _, port, _ in
            let parts = [Self.say("a") + Self.say("b") + Self.say("c", "Connection: close\r\n")]
            let text = try await exchange(port, parts)
            #expect(text.matches(of: #/Echo said: (\w)/#).map { $0.1 } == ["a", "b", "c"])
        }
    }

    @Test func `a client that waits for 100 Continue gets it`() async throws {
        try await withServer { _, port, _ in
            let text = try await exchange(
                port,
                [
                    Self.head(
                        "Expect: 100-continue\r\nContent-Length: \(Self.one.utf8.count)\r\n\r\n"
                    ),
                    Self.one,
                ]
            ) { $0.contains("said:") }
            #expect(text.hasPrefix("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"))
        }
    }

    @Test func `too large a body is answered 413, before it is sent and while it is`() async throws
    {
        try await withServer { service, port, _ in
            let early = try await exchange(
                port,
                [Self.head("Expect: 100-continue\r\nContent-Length: 9000000\r\n\r\n")]
            ) { $0.contains("too large") }
            #expect(early.hasPrefix("HTTP/1.1 413"))
            let whole = try await exchange(
                port,
                [
                    Self.head("Content-Length: 9000000\r\n\r\n"),
                    String(repeating: "x", count: 9_000_000),
                ]
            )
            #expect(whole.hasPrefix("HTTP/1.1 413"))
            let chunk = "100000\r\n" + String(repeating: "x", count: 0x100000) + "\r\n"
            let chunked = try await exchange(
                port,
                [Self.head("Transfer-Encoding: chunked\r\n\r\n")]
                    + [String](repeating: chunk, count: 9) + ["0\r\n\r\n"]
            )
            #expect(chunked.hasPrefix("HTTP/1.1 413"))
            #expect(service.bodies.isEmpty)
        }
    }

    @Test func `chunked bodies in small pieces are put together`() async throws {
        try await withServer { service, port, _ in
            let pieces = Self.one.map { "1\r\n\($0)\r\n" } + ["0\r\n\r\n"]
            let text = try await exchange(
                port,
                [Self.head("Transfer-Encoding: chunked\r\n\r\n")] + pieces
            ) { $0.contains("said:") }
            #expect(text.hasPrefix("HTTP/1.1 200"))
            #expect(service.bodies == [Self.one])
        }
    }

    @Test func `idle and slow connections are closed in time`() async throws {
        let limits = HTTPServerLimits(
            idleTimeout: .seconds(1),
            requestTimeout: .seconds(1)
        )
        try await withServer(limits) { _, port, _ in
            let idle = try await exchange(port, [])
            // On a busy machine its time may be up before it has sent anything.
            let slowHead = (try? await exchange(port, ["POST / HT"])) ?? ""
            #expect(idle == "" && slowHead == "")
            let body = Self.head("Content-Length: 100\r\n\r\nabc")
            var slow = ""
            for _ in 0..<10 where slow.isEmpty {
                slow = (try? await exchange(port, [body])) ?? ""
            }
            #expect(slow.hasPrefix("HTTP/1.1 408") && slow.hasSuffix("Echo: too slow"))
        }
    }

    @Test func `requests wait for memory, and none is lost`() async throws {
        // Room for one body at a time.
        let limits = HTTPServerLimits(
            maximumBodiesInMemoryBytes: Limits.maximumRequestBodyBytes
        )
        try await withServer(limits) { service, port, _ in
            let body = String(repeating: "QUJD", count: 300_000)
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
                                    Self.head(chunked),
                                    "\(size)\r\n\(body)\r\n0\r\n\r\n",
                                ]
                                : [Self.head(length), body]
                        ) { $0.contains("said:") }
                    }
                }
                for try await text in group { #expect(text.hasPrefix("HTTP/1.1 200")) }
            }
            #expect(service.bodies.count == 20)
        }
    }

    @Test func `slow bodies hold up neither small requests nor large ones`() async throws {
        try await withServer { _, port, client in
            let slow =
                Self.head("Content-Length: 8000000\r\n\r\n")
                + String(repeating: "x", count: 100_000)
            let areRefused = Flag()
            try await withThrowingTaskGroup(of: Void.self) { group in
                let began = AsyncStream.makeStream(of: Void.self)
                for _ in 0..<12 {
                    group.addTask {
                        // They stay until the server's time is up, or the test is over.
                        _ = try? await exchange(port, [slow], sent: began.continuation) { text in
                            if text.contains("408") { areRefused.set() }
                            return false
                        }
                    }
                }
                var count = 0
                for await _ in began.stream {
                    count += 1
                    if count == 12 { break }
                }
                for body in ["a", String(repeating: "QUJD", count: 1_000_000)] {
                    let response = try await client.send(
                        HTTPRequest(
                            method: "POST",
                            url: "http://127.0.0.1:\(port)/",
                            body: .bytes(Array(body.utf8))
                        )
                    )
                    #expect(response.status == 200)
                }
                // Nobody had to go for them.
                #expect(!areRefused.isSet)
                group.cancelAll()
            }
        }
    }

    @Test func `connections that break in the middle give their memory back`() async throws {
        let limits = HTTPServerLimits(
            maximumBodiesInMemoryBytes: Limits.maximumRequestBodyBytes
        )
        try await withServer(limits) { _, port, client in
            for _ in 0..<5 {
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<6 {
                        group.addTask {
                            _ = try? await exchange(
                                port,
                                [
                                    "GET /health HTTP/1.1\r\n\r\n"
                                        + Self.head("Content-Length: 8000000\r\n\r\nx")
                                ]
                            ) { $0.contains("ok") }
                        }
                    }
                }
            }
            let response = try await client.send(
                HTTPRequest(method: "POST", url: "http://127.0.0.1:\(port)/", body: .bytes([0x61]))
            )
            #expect(response.status == 200)
        }
    }

    @Test func `a body that is worked on keeps its memory, also when its client is gone`()
        async throws
    {
        // Room for two bodies at a time, beside small ones.
        let limits = HTTPServerLimits(
            maximumBodiesInMemoryBytes: Limits.maximumRequestBodyBytes
        )
        try await withServer(limits) { service, port, client in
            var arrivals = service.arrivals.stream.makeAsyncIterator()
            let body = String(repeating: "x", count: 8_000_000)
            let request = Self.head("Content-Length: 8000000\r\n\r\n") + body
            service.answers.close()
            for _ in 0..<2 {
                let gone = try await connectToReset(port)
                try await gone.writeAndFlush(ByteBuffer(string: request))
                await arrivals.next()
                try await gone.close()
            }
            let third = Task {
                try await exchange(port, [request]) { $0.contains("said:") }
            }
            // The server has noticed all once it answers these.
            for _ in 0..<50 {
                let url = "http://127.0.0.1:\(port)/health"
                let health = try await client.send(HTTPRequest(method: "GET", url: url))
                #expect(health.status == 200)
            }
            #expect(service.bodies.count == 2)
            service.answers.open()
            let answer = try await third.value
            #expect(answer.contains("200 OK"))
            #expect(service.bodies.count == 3)
        }
    }

    @Test func `thousands of pipelined requests are answered one after the other`() async throws {
        try await withServer { _, port, _ in
            let flood = String(repeating: "GET /health HTTP/1.1\r\n\r\n", count: 40_000)
            let last = "GET /health HTTP/1.1\r\nConnection: close\r\n\r\n"
            let text = try await exchange(port, [Self.say() + flood + last])
            #expect(text.matches(of: #/HTTP\/1\.1 200/#).count == 40_002)
        }
    }

    @Test func `a request that begins after the connection was refused takes nothing`() async throws
    {
        let limits = HTTPServerLimits(
            maximumBodiesInMemoryBytes: Limits.maximumRequestBodyBytes
        )
        try await withServer(limits) { _, port, client in
            let chunk = "900000\r\n" + String(repeating: "x", count: 0x900000) + "\r\n"
            for _ in 0..<3 {
                let text = try await exchange(
                    port,
                    [
                        Self.head("Transfer-Encoding: chunked\r\n\r\n"), chunk,
                        "0\r\n\r\n" + Self.head("Content-Length: 8388608\r\n\r\nabc"),
                    ]
                )
                #expect(text.hasPrefix("HTTP/1.1 413"))
            }
            let response = try await client.send(
                HTTPRequest(method: "POST", url: "http://127.0.0.1:\(port)/", body: .bytes([0x61]))
            )
            #expect(response.status == 200)
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
                [Self.say(Self.one, "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n")]
            )
            #expect(upgrade.contains("said:") && upgrade.contains("Connection: close"))
        }
    }

    @Test func `pages are read by GET and HEAD, other paths and methods are refused`() async throws
    {
        try await withServer { _, port, client in
            for (method, path, status, allowed) in [
                ("GET", "/health", 200, nil), ("HEAD", "/health", 200, nil),
                ("GET", "/sick?now", 503, nil), ("POST", "/health", 405, "GET, HEAD"),
                ("GET", "/", 405, "POST"), ("POST", "/elsewhere", 404, nil),
                ("POST", "/?x", 200, nil),
            ] {
                let response = try await client.send(
                    HTTPRequest(method: method, url: "http://127.0.0.1:\(port)\(path)")
                )
                #expect(response.status == status, "\(method) \(path)")
                #expect(response.header("Allow") == allowed)
                #expect(response.header("x-amzn-RequestId")?.count == 36)
                if status == 404 || status == 405 {
                    let text = String(decoding: response.body, as: UTF8.self)
                    #expect(text.hasSuffix("here"), "no service has the request: \(text)")
                }
            }
        }
    }

    @Test func `a request goes to the service that claims it, or else to the first`() async throws {
        let other = EchoService(prefix: "Other")
        try await withServer(others: [other]) { first, port, client in
            for (target, prefix) in [
                ("Echo.Say", "Echo"), ("Other.Say", "Other"), ("Nobody.Say", "Echo"),
            ] {
                let response = try await client.send(
                    HTTPRequest(
                        method: "POST",
                        url: "http://127.0.0.1:\(port)/",
                        headers: [("X-Amz-Target", target)],
                        body: .bytes(Array(target.utf8))
                    )
                )
                let text = String(decoding: response.body, as: UTF8.self)
                #expect(text == "\(prefix) said: \(target)")
            }
            #expect(first.bodies == ["Echo.Say", "Nobody.Say"])
            #expect(other.bodies == ["Other.Say"])
            // So does what the server refuses itself.
            let early = try await exchange(
                port,
                ["POST / HTTP/1.1\r\nX-Amz-Target: Other.Say\r\nContent-Length: 9000000\r\n\r\n"]
            ) { $0.contains("too large") }
            #expect(early.hasSuffix("Other: too large"))
        }
    }
}
