import Records
import SigV4
import TestSupport
import Testing

/// The examples of the S3 API reference, "Signature Calculations for the Authorization Header:
/// Transferring Payload in a Single Chunk".
@Suite struct RequestSignerTests {
    private static let emptyHash =
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    private static let moment = Timestamp(milliseconds: 1_369_353_600_000)
    private static let host = (name: "Host", value: "examplebucket.s3.amazonaws.com")

    private let signer = RequestSigner(
        credentials: Credentials(
            accessKeyID: "AKIAIOSFODNN7EXAMPLE",
            secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
        ),
        region: "us-east-1",
        service: "s3"
    )

    private func signature(_ request: RequestSigner.Request) -> String? {
        let headers = signer.sign(request, at: Self.moment)
        let value = headers.first { $0.name == "Authorization" }?.value
        return value?.split(separator: "=").last.map(String.init)
    }

    @Test func `GET of an object with a range`() {
        let request = RequestSigner.Request(
            method: "GET",
            path: "/test.txt",
            headers: [Self.host, ("Range", "bytes=0-9")],
            payloadHash: Self.emptyHash
        )
        #expect(
            signature(request)
                == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        )
    }

    @Test func `PUT of an object whose key needs encoding`() {
        let request = RequestSigner.Request(
            method: "PUT",
            path: "/" + URIEncoding.encode("test$file.text", keepSlashes: true),
            headers: [
                Self.host, ("Date", "Fri, 24 May 2013 00:00:00 GMT"),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ],
            payloadHash: "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
        )
        #expect(
            signature(request)
                == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        )
    }

    @Test func `GET of a subresource without a value`() {
        let request = RequestSigner.Request(
            method: "GET",
            path: "/",
            query: [("lifecycle", "")],
            headers: [Self.host],
            payloadHash: Self.emptyHash
        )
        #expect(
            signature(request)
                == "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        )
    }

    @Test func `GET of a list, its query in any order`() {
        let request = RequestSigner.Request(
            method: "GET",
            path: "/",
            query: [("prefix", "J"), ("max-keys", "2")],
            headers: [Self.host],
            payloadHash: Self.emptyHash
        )
        #expect(
            signature(request)
                == "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        )
    }

    @Test func `a session token is sent and signed`() {
        let signer = RequestSigner(
            credentials: Credentials(
                accessKeyID: "A",
                secretAccessKey: "S",
                sessionToken: "T"
            ),
            region: "eu-west-1",
            service: "s3"
        )
        let headers = signer.sign(
            .init(method: "GET", path: "/", headers: [Self.host], payloadHash: Self.emptyHash),
            at: Self.moment
        )
        #expect(headers.contains { $0.name == "x-amz-security-token" && $0.value == "T" })
        let authorization = headers.first { $0.name == "Authorization" }?.value ?? ""
        #expect(
            authorization.contains(
                "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,"
            )
        )
        #expect(authorization.contains("/20130524/eu-west-1/s3/aws4_request"))
    }

    @Test func `a header whose name begins another one's is sorted before it`() {
        let headers = signer.sign(
            .init(
                method: "GET",
                path: "/",
                headers: [Self.host, ("x-amz-meta-a-b", "1"), ("x-amz-meta-a", "2")],
                payloadHash: Self.emptyHash
            ),
            at: Self.moment
        )
        let authorization = headers.first { $0.name == "Authorization" }?.value ?? ""
        #expect(authorization.contains("x-amz-meta-a;x-amz-meta-a-b"))
    }

    @Test func `everything but unreserved characters is percent-encoded`() {
        #expect(URIEncoding.encode("a b/ü+=%~-_.") == "a%20b%2F%C3%BC%2B%3D%25~-_.")
        #expect(URIEncoding.encode("a b/c", keepSlashes: true) == "a%20b/c")
    }
}
