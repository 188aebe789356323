internal import Crypto
package import Egress
internal import Platform
package import Records
internal import SigV4

/// Buckets behind the S3 API.
package struct S3ObjectStore: ObjectStore {
    private let configuration: S3Configuration
    let client: HTTPClient
    private let time: any TimeSource
    private let signer: RequestSigner

    private let patience: Duration

    /// Buckets at an endpoint, reached through `client`.
    ///
    /// - Parameters:
    ///   - configuration: Where they are.
    ///   - client: For all requests.
    ///   - time: The clock for signatures.
    ///   - patience: How long the store may think about an object.
    package init(
        _ configuration: S3Configuration,
        client: HTTPClient,
        time: any TimeSource,
        patience: Duration = .seconds(120)
    ) {
        self.patience = patience
        self.configuration = configuration
        self.client = client
        self.time = time
        signer = RequestSigner(
            credentials: configuration.credentials,
            region: configuration.region,
            service: "s3"
        )
    }

    package func put(_ object: SpooledObject, as plan: ObjectPlan) async throws -> DeliveryOutcome {
        let request = request(for: object, as: plan)
        do {
            let response = try await client.send(request)
            return (200..<300).contains(response.status)
                ? .delivered : .failed(S3Failure.failure(of: response, bucket: plan.bucket))
        } catch let error as EgressError {
            return .failed(
                DeliveryFailure(code: "S3.\(error.kind.rawValue)", message: error.message)
            )
        }
    }

    /// The PUT, signed.
    ///
    /// The payload's hash goes twice: signed, as S3 demands, and as a checksum that the store
    /// compares with what it received, which some do not do with the first.
    private func request(for object: SpooledObject, as plan: ObjectPlan) -> HTTPRequest {
        let (authority, path) = configuration.location(bucket: plan.bucket, key: plan.key)
        var headers = [
            (name: "Host", value: authority),
            (name: "Content-Type", value: "application/octet-stream"),
            (
                name: "x-amz-checksum-sha256",
                value: Base64.text(object.sha256)
            ),
        ]
        if let encoding = plan.compression.contentEncoding {
            headers.append((name: "Content-Encoding", value: encoding))
        }
        if let key = plan.kmsKeyARN {
            headers.append((name: "x-amz-server-side-encryption", value: "aws:kms"))
            headers.append((name: "x-amz-server-side-encryption-aws-kms-key-id", value: key))
        }
        let signed = signer.sign(
            RequestSigner.Request(
                method: "PUT",
                path: path,
                headers: headers,
                payloadHash: Hexadecimal.text(object.sha256)
            ),
            at: time.now()
        )
        // 1 MB/s at the least, and time for the store to think.
        let timeout = patience + .seconds(object.byteCount / 1_000_000)
        return HTTPRequest(
            method: "PUT",
            url: "\(configuration.scheme)://\(authority)\(path)",
            headers: signed,
            body: .source(object.content, count: object.byteCount),
            timeout: timeout,
            stallTimeout: min(.seconds(60), patience)
        )
    }
}

extension S3ObjectStore {
    /// A request without a body, signed.
    func request(
        _ method: String,
        _ bucket: String,
        _ key: String,
        _ query: [(name: String, value: String)],
        limit: Int
    ) -> HTTPRequest {
        let (authority, path) = configuration.location(bucket: bucket, key: key)
        let signed = signer.sign(
            RequestSigner.Request(
                method: method,
                path: path,
                query: query,
                headers: [(name: "Host", value: authority)],
                payloadHash: Hexadecimal.text(SHA256.hash(data: [UInt8]()))
            ),
            at: time.now()
        )
        let text = query.map { "\(URIEncoding.encode($0.name))=\(URIEncoding.encode($0.value))" }
            .joined(separator: "&")
        return HTTPRequest(
            method: method,
            url: "\(configuration.scheme)://\(authority)\(path)" + (text.isEmpty ? "" : "?\(text)"),
            headers: signed,
            timeout: patience,
            stallTimeout: min(.seconds(60), patience),
            maximumResponseBytes: limit
        )
    }
}

/// What S3 says went wrong.
enum S3Failure {
    /// Codes of the S3 API that operators meet (API reference, "Error responses"): a bounded set,
    /// for metrics.
    ///
    /// Others count by their status.
    private static let knownCodes: Set<String> = [
        "AccessDenied", "AuthorizationHeaderMalformed", "BadDigest", "EntityTooLarge",
        "ExpiredToken", "IncompleteBody", "InternalError", "InvalidAccessKeyId",
        "InvalidArgument", "InvalidBucketName", "InvalidDigest", "InvalidRequest", "InvalidToken",
        "KeyTooLongError", "MethodNotAllowed", "NoSuchBucket", "OperationAborted",
        "PermanentRedirect", "RequestTimeTooSkewed", "RequestTimeout", "ServiceUnavailable",
        "SignatureDoesNotMatch", "SlowDown", "TemporaryRedirect", "XAmzContentSHA256Mismatch",
    ]

    static func failure(of response: HTTPResponse, bucket: String) -> DeliveryFailure {
        let body = String(decoding: response.body.prefix(64 * 1024), as: UTF8.self)
        let code = XMLText.values(of: "Code", in: body).first
        let known = code.flatMap { knownCodes.contains($0) ? $0 : nil }
        let text = XMLText.values(of: "Message", in: body).first ?? String(body.prefix(200))
        return DeliveryFailure(
            code: "S3.\(known ?? "Status\(response.status)")",
            message: "\(response.status) \(code ?? "") \(text) (bucket \(bucket))"
        )
    }
}
