import Crypto
import Egress
import Foundation
import Records
import SigV4
import TestSupport
import Testing

@testable import HTTPServer

/// Keys and policies, from the file to the answer.
@Suite(.timeLimit(.minutes(1))) struct AccessTests {
    private static let all = #"[{"actions":["*"],"streams":["*"]}]"#

    private static func entry(
        _ id: String = #""a""#,
        _ allow: String = all,
        _ more: String = ""
    ) -> String {
        #"{"accessKeyId":\#(id),"secretAccessKey":"hidden-away","allow":\#(allow)\#(more)}"#
    }

    private static func file(_ text: String, in folder: TemporaryFolder) throws -> String {
        let path = folder("keys.json")
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        return path
    }

    private static func failure(of text: String) throws -> String? {
        let folder = TemporaryFolder()
        let path = try file(text, in: folder)
        do throws(CredentialsFile.Failure) {
            _ = try CredentialsFile(path: path, actions: EchoService.actions)
            return nil
        } catch {
            #expect(!error.description.contains("hidden-away"), "a secret is repeated")
            return error.description.replacingOccurrences(of: path, with: "FILE")
        }
    }

    /// One key's entry with something else about it.
    private static func key(allow: String = all, _ more: String = "") -> String {
        #"{"keys":["# + entry(#""a""#, allow, more) + "]}"
    }

    private static let mistakes: [(text: String, reason: String)] = [
        ("[]", "the content must be an object"),
        ("{}", "keys is missing"),
        (#"{"keys":null}"#, "keys is missing"),
        (#"{"keys":{}}"#, "keys must be an array"),
        (#"{"keys":[]}"#, "keys has 0 items; it must have 1 to 10000"),
        (#"{"keys":["x"]}"#, "keys[0] must be an object"),
        (#"{"keys":["# + entry() + #"],"users":[]}"#, "there is no member users"),
        (key(#","secret":"x""#), "there is no member secret in keys[0]"),
        (
            #"{"keys":["# + entry() + "," + entry(#""b c""#) + "]}",
            "keys[1].accessKeyId must consist of ASCII letters, digits, '_', '.' and '-'"
        ),
        (#"{"keys":["# + entry("7") + "]}", "keys[0].accessKeyId must be a string"),
        (#"{"keys":["# + entry(#""""#) + "]}", "keys[0].accessKeyId must have 1 to 128 characters"),
        (#"{"keys":[{"accessKeyId":"a","allow":[]}]}"#, "keys[0].secretAccessKey is missing"),
        (
            #"{"keys":[{"accessKeyId":"a","secretAccessKey":["hidden-away"]}]}"#,
            "keys[0].secretAccessKey must be a string"
        ),
        (
            key(#","sessionToken":"hidden-away ""#),
            "keys[0].sessionToken must consist of printable ASCII characters without blanks"
        ),
        (key(allow: "[]"), "keys[0].allow has 0 items; it must have 1 to 100"),
        (key(allow: #"[{"actions":["*"]}]"#), "keys[0].allow[0].streams is missing"),
        (
            key(allow: #"[{"actions":"*","streams":["*"]}]"#),
            "keys[0].allow[0].actions must be an array"
        ),
        (
            key(allow: #"[{"actions":["*",""],"streams":["*"]}]"#),
            "keys[0].allow[0].actions[1] must have 1 to 128 characters"
        ),
        (
            key(allow: #"[{"actions":["echo:Sing"],"streams":["*"]}]"#),
            "the key a allows echo:Sing, which matches no action of this server"
        ),
        (#"{"keys":["# + entry() + "," + entry() + "]}", "the key a is there more than once"),
        (
            key(#","expires":"2030-02-30T00:00:00Z""#),
            "the key a expires at '2030-02-30T00:00:00Z', which is no time in UTC such as "
                + "2030-01-31T12:00:00Z"
        ),
    ]

    @Test(arguments: mistakes)
    func `a credentials file that is wrong is refused in words`(text: String, reason: String) throws
    {
        #expect(try Self.failure(of: text) == "the credentials file FILE: \(reason)")
    }

    @Test func `a file that is no JSON is refused in words`() throws {
        let failure = try #require(try Self.failure(of: #"{"keys":[}"#))
        #expect(failure.hasPrefix("the credentials file FILE is not valid JSON: "))
    }

    @Test func `secrets may have their full length, and null stands for none`() throws {
        let token = String(repeating: "t", count: 4096)
        let full = Self.key(#","sessionToken":"\#(token)","expires":null"#)
        #expect(try Self.failure(of: full) == nil)
        let longer = Self.key(#","sessionToken":"\#(token)t""#)
        #expect(
            try Self.failure(of: longer)
                == "the credentials file FILE: keys[0].sessionToken must have 1 to 4096 characters"
        )
    }

    @Test(
        arguments: [
            (["*"], ["*"], "echo:Say", "a", true),
            (["ECHO:s*"], ["a-*", "b"], "echo:Say", "a-1", true),
            (["ECHO:s*"], ["a-*", "b"], "echo:Shout", "b", true),
            (["ECHO:s*"], ["a-*", "b"], "echo:Say", "c", false),
            (["echo:Say"], ["*"], "echo:Shout", "a", false),
            (["echo:Say"], ["*"], "echo:Say", nil, true),
            (["echo:Say"], ["a*", "**"], "echo:Say", nil, false),
            (["echo:Say"], ["*"], "echo:Sing", "a", false),
        ] as [([String], [String], String, String?, Bool)]
    )
    func `a policy allows actions on streams`(
        patterns: [String],
        streams: [String],
        action: String,
        stream: String?,
        isAllowed: Bool
    ) {
        var policy = AccessPolicy()
        policy.allow(patterns.map(ActionPattern.init), of: EchoService.actions, streams: streams)
        let caller = Caller(accessKeyID: "a", policy: policy)
        #expect(caller.allows(action, on: stream) == isAllowed)
        #expect(Caller.anyone.allows(action, on: stream))
    }

    @Test func `a signed request comes with its caller, another one does not come`() async throws {
        let folder = TemporaryFolder()
        let rules = #"[{"actions":["echo:Say"],"streams":["h*"]}]"#
        let path = try Self.file(Self.key(allow: rules), in: folder)
        let access = try AccessControl(
            path: path,
            actions: EchoService.actions,
            region: nil,
            time: SystemTime()
        )
        try await withServer(access: access) { service, port, client in
            func send(_ body: String, signed: String, for name: String) async throws -> String {
                let host = "127.0.0.1:\(port)"
                let signer = RequestSigner(
                    credentials: Credentials(accessKeyID: "a", secretAccessKey: "hidden-away"),
                    region: "eu-x-1",
                    service: name
                )
                let hash = SHA256.hash(data: Data(signed.utf8))
                    .map { String(format: "%02x", $0) }.joined()
                let headers = signer.sign(
                    RequestSigner.Request(
                        method: "POST",
                        path: "/",
                        headers: [("Host", host), ("X-Amz-Target", "Echo.Say")],
                        payloadHash: hash
                    ),
                    at: SystemTime().now()
                )
                let response = try await client.send(
                    HTTPRequest(
                        method: "POST",
                        url: "http://\(host)/",
                        headers: headers,
                        body: .bytes(Array(body.utf8))
                    )
                )
                return "\(response.status) " + String(decoding: response.body, as: UTF8.self)
            }
            #expect(try await send("hi", signed: "hi", for: "echo") == "200 Echo said: hi")
            #expect(try await send("bye", signed: "bye", for: "echo") == "400 a may not say bye")
            let refused = "401 Echo: InvalidSignatureException"
            #expect(try await send("ho", signed: "hi", for: "echo") == refused)
            #expect(try await send("hi", signed: "hi", for: "choir") == refused)
            #expect(service.bodies == ["hi", "bye"])
            let unsigned = try await exchange(
                port,
                ["POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 70000\r\n\r\n"]
            ) { $0.contains("Echo:") }
            #expect(unsigned.hasSuffix("Echo: MissingAuthenticationTokenException"))
        }
    }
}
