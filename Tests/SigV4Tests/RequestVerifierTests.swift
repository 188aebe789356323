import Crypto
import Foundation
import Platform
import Records
import TestSupport
import Testing

@testable import SigV4

/// AWS's own test suite for Signature Version 4, out of botocore's source package; see
/// `Tests/Vectors`.
@Suite struct RequestVerifierTests {
    private struct Vectors: Decodable {
        struct Case: Decodable {
            struct Request: Decodable {
                var method: String
                var target: String
                var headers: [[String]]
                var body: String
            }

            var name: String
            var request: Request
            var canonicalRequest: String
            var authorization: String
        }

        var accessKeyId: String
        var secretAccessKey: String
        var region: String
        var service: String
        var cases: [Case]
    }

    /// 2015-08-30T12:36:00Z, when the cases were signed.
    private static let moment = Timestamp(milliseconds: 1_440_938_160_000)

    private static func vectors() throws -> Vectors {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent()
        let file = tests.appendingPathComponent("Vectors/sigv4.json")
        return try JSONDecoder().decode(Vectors.self, from: try Data(contentsOf: file))
    }

    private static func head(
        _ request: Vectors.Case.Request,
        _ authorization: String
    )
        -> RequestVerifier.Head
    {
        let headers = request.headers.map { (name: $0[0], value: $0[1]) }
        return RequestVerifier.Head(
            method: request.method,
            target: request.target,
            headers: headers + [("Authorization", authorization)]
        )
    }

    private static func hash(_ text: String) -> [UInt8] {
        Array(SHA256.hash(data: Data(text.utf8)))
    }

    private static func verifier(_ vectors: Vectors, token: String? = nil) -> RequestVerifier {
        let credentials = Credentials(
            accessKeyID: vectors.accessKeyId,
            secretAccessKey: vectors.secretAccessKey,
            sessionToken: token
        )
        return RequestVerifier(
            region: vectors.region,
            keys: [AccessKey(credentials: credentials)]
        )
    }

    @Test func `all cases of AWS's test suite are right, and wrong with another body`() throws {
        let vectors = try Self.vectors()
        #expect(vectors.cases.count == 34)
        for item in vectors.cases {
            let token = item.request.headers.first { $0[0].lowercased() == "x-amz-security-token" }
            let verifier = Self.verifier(vectors, token: token?[1])
            let head = Self.head(item.request, item.authorization)
            let claim = try verifier.claim(of: head, for: vectors.service, now: Self.moment)
            let canonical =
                String(decoding: claim.canonicalHead, as: UTF8.self)
                + Hexadecimal.text(Self.hash(item.request.body))
            #expect(canonical == item.canonicalRequest, "\(item.name)")
            try verifier.verify(claim, bodyHash: Self.hash(item.request.body))
            #expect(throws: SignatureError.self, "\(item.name)") {
                try verifier.verify(claim, bodyHash: Self.hash(item.request.body + "x"))
            }
        }
        print("SigV4: \(vectors.cases.count) cases of AWS's test suite")
    }

    @Test func `whatever is changed in a request, it is no longer right`() throws {
        let vectors = try Self.vectors()
        let verifier = Self.verifier(vectors)
        var generator = SeededGenerator(seed: 11)
        let item = try #require(
            vectors.cases.first { $0.name == "post-x-www-form-urlencoded-parameters" }
        )
        var refused = 0
        for _ in 0..<5000 {
            var request = item.request
            var authorization = item.authorization
            // All of these are signed, or say how: no change may pass.
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: request.method = Self.mutated(request.method, &generator)
            case 1: request.target += "x" + Self.mutated("x", &generator)
            case 2: authorization = Self.mutated(authorization, &generator)
            default:
                let index = request.headers.indices.randomElement(using: &generator) ?? 0
                request.headers[index][1] = Self.mutated(request.headers[index][1], &generator)
            }
            let isSame =
                authorization.filter { $0 != " " } == item.authorization.filter { $0 != " " }
                && request.method == item.request.method
                && request.target == item.request.target
                && request.headers.map(\.[1]).map(Self.trimmed)
                    == item.request.headers.map(\.[1]).map(Self.trimmed)
            guard !isSame else { continue }
            do throws(SignatureError) {
                let head = Self.head(request, authorization)
                let claim = try verifier.claim(of: head, for: vectors.service, now: Self.moment)
                try verifier.verify(claim, bodyHash: Self.hash(request.body))
                Issue.record("\(request) with \(authorization) passed")
            } catch {
                refused += 1
            }
        }
        print("SigV4: \(refused) changed requests refused")
    }

    private static func trimmed(_ text: String) -> String {
        text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    private static func mutated(
        _ text: String,
        _ generator: inout SeededGenerator
    ) -> String {
        var bytes = Array(text.utf8)
        let place = Int.random(in: 0..<bytes.count, using: &generator)
        switch Int.random(in: 0..<3, using: &generator) {
        case 0: bytes[place] = UInt8.random(in: 0x21...0x7e, using: &generator)
        case 1: bytes.remove(at: place)
        default: bytes.insert(UInt8.random(in: 0x21...0x7e, using: &generator), at: place)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test func `any bytes as a head are refused, and never the end`() throws {
        let vectors = try Self.vectors()
        let verifier = Self.verifier(vectors)
        var generator = SeededGenerator(seed: 12)
        for _ in 0..<20_000 {
            func text(_ most: Int) -> String {
                let count = Int.random(in: 0...most, using: &generator)
                return String(decoding: generator.bytes(count), as: UTF8.self)
            }
            let head = RequestVerifier.Head(
                method: "POST",
                target: "/?X-Amz-Signature=" + text(20) + "&" + text(40),
                headers: [
                    ("Authorization", "AWS4-HMAC-SHA256 Credential=" + text(60)),
                    (text(10), text(20)), ("X-Amz-Date", text(16)),
                ]
            )
            #expect(throws: SignatureError.self) {
                try verifier.claim(of: head, for: vectors.service, now: Self.moment)
            }
        }
    }

    @Test(
        arguments: [
            (-900, true), (-901, false), (900, true), (901, false),
        ]
    )
    func `fifteen minutes of skew are all that is forgiven`(seconds: Int, passes: Bool) throws {
        let vectors = try Self.vectors()
        let item = try #require(vectors.cases.first { $0.name == "post-vanilla" })
        let verifier = Self.verifier(vectors)
        let head = Self.head(item.request, item.authorization)
        let now = Self.moment + .seconds(seconds)
        let claim = Result { try verifier.claim(of: head, for: vectors.service, now: now) }
        #expect(passes == ((try? claim.get()) != nil))
    }
}
