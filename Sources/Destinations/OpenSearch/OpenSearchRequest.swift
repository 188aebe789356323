internal import Crypto
internal import Egress
internal import Platform
internal import Records
internal import SigV4

/// Makes the requests to a cluster, with what says who we are.
struct OpenSearchRequest: Sendable {
    /// An item's part of an answer may be long, and there are very many.
    private static let maximumResponseBytes = 128 * 1024 * 1024
    private static let defaultTimeoutSeconds = 120
    private static let defaultMaximumBytes = 10_000_000
    /// What an answer is asked for.
    private static let filter = "errors,items.*.status,items.*.error.type,items.*.error.reason"

    private let endpoint: EndpointURL
    private let entry: EndpointSettings.Entry?
    private let access: EndpointSettings.Access?
    private let signer: RequestSigner?
    private let time: any TimeSource

    /// Requests to an endpoint.
    ///
    /// - Throws: InvalidArgument where it wants signatures, and nobody can sign.
    init(
        _ endpoint: EndpointURL,
        _ context: RecordDestinations.Context
    ) throws(FirehoseError) {
        self.endpoint = endpoint
        time = context.time
        entry = context.settings.entry(for: endpoint)
        access = entry?.access ?? Self.access(endpoint)
        guard case .signature(let service, let region) = access else {
            signer = nil
            return
        }
        guard let credentials = context.credentials else {
            throw FirehoseError(
                .invalidArgument,
                "\(endpoint.text) needs signed requests, and this server has no "
                    + "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        }
        signer = RequestSigner(credentials: credentials, region: region, service: service)
    }

    /// Bytes that a body may have.
    var maximumBytes: Int { entry?.maximumRequestBytes ?? Self.defaultMaximumBytes }

    /// Whether bodies are compressed.
    var isCompressed: Bool { entry?.isCompressed ?? false }

    /// AWS's own domains take nobody's word.
    private static func access(_ endpoint: EndpointURL) -> EndpointSettings.Access? {
        if let userInfo = endpoint.userInfo {
            let parts = userInfo.split(
                separator: ":",
                maxSplits: 1,
                omittingEmptySubsequences: false
            )
            return .password(
                user: String(parts[0]),
                password: parts.count > 1 ? String(parts[1]) : ""
            )
        }
        let labels = endpoint.host.split(separator: ".")
        if endpoint.host.hasSuffix(".es.amazonaws.com"), labels.count >= 5 {
            return .signature(service: "es", region: String(labels[labels.count - 4]))
        }
        return nil
    }

    /// A `_bulk` request, whose body is compressed where that is asked for.
    func bulk(_ body: [UInt8], _ reader: BulkResponseReader) -> HTTPRequest {
        var headers = [(name: "Content-Type", value: "application/x-ndjson")]
        if isCompressed { headers.append(("Content-Encoding", "gzip")) }
        let query = [(name: "filter_path", value: Self.filter)]
        var request = make("POST", "/_bulk", query: query, headers, body: body)
        request.responseReader = reader
        return request
    }

    /// A request for what the cluster says of itself.
    func root() -> HTTPRequest { make("GET", "/") }

    /// A request with JSON, or without a body, of whose answer some members are wanted.
    func call(_ path: String, _ json: String = "", wanted: String) -> HTTPRequest {
        make(
            "POST",
            path,
            query: [("filter_path", wanted)],
            json.isEmpty ? [] : [("Content-Type", "application/json")],
            body: Array(json.utf8)
        )
    }

    private func make(
        _ method: String,
        _ path: String,
        query: [(name: String, value: String)] = [],
        _ more: [(name: String, value: String)] = [],
        body: [UInt8] = []
    ) -> HTTPRequest {
        let path = endpoint.path + path
        var headers = [(name: "Host", value: endpoint.authority)] + more
        switch access {
        case .password(let user, let password):
            let text = Base64.text(Array("\(user):\(password)".utf8))
            headers.append(("Authorization", "Basic \(text)"))
        case .apiKey(let key): headers.append(("Authorization", "ApiKey \(key)"))
        case .signature, nil: break
        }
        if let signer {
            headers = signer.sign(
                RequestSigner.Request(
                    method: method,
                    path: path,
                    query: query,
                    headers: headers,
                    payloadHash: Hexadecimal.text(SHA256.hash(data: body))
                ),
                at: time.now()
            )
        }
        let seconds = entry?.timeoutSeconds ?? Self.defaultTimeoutSeconds
        let text = query.map { "\($0.name)=\($0.value)" }.joined(separator: "&")
        var request = HTTPRequest(
            method: method,
            url: "\(endpoint.scheme)://\(endpoint.authority)\(path)"
                + (text.isEmpty ? "" : "?\(text)"),
            headers: headers,
            body: body.isEmpty ? .none : .bytes(body),
            timeout: .seconds(seconds),
            stallTimeout: .seconds(seconds),
            maximumResponseBytes: Self.maximumResponseBytes
        )
        request.certificateAuthorities = entry?.certificateAuthority
        return request
    }
}
