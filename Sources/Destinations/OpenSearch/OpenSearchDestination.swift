internal import Compression
internal import Crypto
internal import Egress
internal import Foundation
internal import JSON
internal import Platform
internal import Records
internal import SigV4
internal import Synchronization

/// An OpenSearch or Elasticsearch cluster, over its `_bulk` API.
final class OpenSearchDestination: RecordDestination {
    /// Jackson, which reads documents there, goes no deeper.
    private static let maximumDepth = 1000
    /// An item's part of an answer may be long, and there are very many.
    private static let maximumResponseBytes = 128 * 1024 * 1024
    private static let defaultTimeoutSeconds = 120
    private static let defaultMaximumRequestBytes = 10_000_000
    /// Indexes of which it is remembered that they are data streams.
    private static let maximumCreateIndexes = 1000

    let requestLimits: RequestLimits
    let retryRules: RetryRules
    let errorOutputType: ErrorOutputType

    let endpoint: EndpointURL
    private let entry: EndpointSettings.Entry?
    private let access: EndpointSettings.Access?
    private let signer: RequestSigner?
    let context: RecordDestinations.Context
    private let index: String
    private let type: String
    private let rotation: IndexRotation
    private let hasIdentifiers: Bool
    private let maximumRequestBytes: Int
    private let createIndexes = Mutex<Set<String>>([])

    init(
        _ configuration: DestinationConfiguration,
        _ settings: EndpointSettings,
        _ context: RecordDestinations.Context
    ) throws(FirehoseError) {
        let members = configuration.members
        guard let endpoint = EndpointURL(members["ClusterEndpoint"]?.string ?? "") else {
            throw FirehoseError(
                .invalidArgument,
                "\(configuration.kind.configurationMember).ClusterEndpoint is not a valid URL"
            )
        }
        self.endpoint = endpoint
        self.context = context
        entry = settings.entry(for: endpoint)
        access = entry?.access ?? Self.access(endpoint)
        if case .signature(let service, let region) = access {
            guard let credentials = context.credentials else {
                throw FirehoseError(
                    .invalidArgument,
                    "\(endpoint.text) needs signed requests, and this server has no "
                        + "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                )
            }
            signer = RequestSigner(credentials: credentials, region: region, service: service)
        } else {
            signer = nil
        }
        index = members["IndexName"]?.string ?? ""
        type = members["TypeName"]?.string ?? ""
        rotation =
            IndexRotation(rawValue: members["IndexRotationPeriod"]?.string ?? "") ?? .oneDay
        hasIdentifiers =
            members["DocumentIdOptions"]?["DefaultDocumentIdFormat"]?.string != "NO_DOCUMENT_ID"
        maximumRequestBytes = entry?.maximumRequestBytes ?? Self.defaultMaximumRequestBytes
        // The lines between documents need room too; where it is not enough, `send` makes halves.
        requestLimits = RequestLimits(
            dataBytes: UInt64(maximumRequestBytes / 10 * 9),
            records: 20_000
        )
        let seconds = members["RetryOptions"]?["DurationInSeconds"]?.integer ?? 300
        retryRules = RetryRules(duration: .seconds(seconds), clock: .firstAttempt)
        errorOutputType =
            configuration.kind == .elasticsearch ? .elasticsearchFailed : .openSearchFailed
    }

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

    // MARK: Records

    func refusals(of records: DeliveryRecords) -> [Int: DeliveryFailure] {
        var refusals: [Int: DeliveryFailure] = [:]
        for (place, item) in records.items.enumerated() {
            let data = records.data(of: item).bindMemory(to: UInt8.self)
            var cursor = JSONCursor(maximumDepth: Self.maximumDepth)
            do throws(JSONCursor.Failure) {
                guard cursor.peek(data.span) == UInt8(ascii: "{") else {
                    throw cursor.failure("expected '{'")
                }
                try cursor.skipValue(data.span)
                try cursor.expectEnd(data.span)
            } catch {
                refusals[place] = DeliveryFailure(
                    code: "400",
                    message: "The record is not one JSON object in UTF-8: \(error)."
                )
            }
        }
        return refusals
    }

    func failureMembers(
        of item: DeliveryRecords.Item,
        in records: DeliveryRecords
    ) -> (before: [(name: String, value: JSONValue)], after: [(name: String, value: JSONValue)]) {
        let identifier = hasIdentifiers ? records.identifier(of: item) : ""
        return (
            [
                ("esDocumentId", .string(identifier)),
                ("esIndexName", .string(indexName(of: item))), ("esTypeName", .string(type)),
            ], []
        )
    }

    private func indexName(of item: DeliveryRecords.Item) -> String {
        index + rotation.suffix(at: item.arrival)
    }

    /// An action for each item; those of one hour are made once.
    private func actions(_ records: DeliveryRecords, _ items: [Int]) -> [BulkBody.Action] {
        let creates = createIndexes.withLock { $0 }
        var made: [Int64: BulkBody.Action] = [:]
        return items.map { place in
            let item = records.items[place]
            let hour = item.arrival.seconds / 3600
            if let action = made[hour] { return action }
            let name = indexName(of: item)
            let action = BulkBody.Action(
                index: name,
                type: type,
                isCreate: creates.contains(name),
                hasIdentifier: hasIdentifiers
            )
            made[hour] = action
            return action
        }
    }

    // MARK: Requests

    func send(_ records: DeliveryRecords, _ items: [Int]) async throws -> DeliveryAnswer {
        let line = #"{"create":{"_index":"","_type":"","_id":""}}"#.utf8.count + index.utf8.count
        let total = BulkBody.maximumBytes(records, items, line + 16 + type.utf8.count)
        guard items.count == 1 || total <= maximumRequestBytes else {
            return try await sendHalves(records, items, after: 0)
        }
        let actions = actions(records, items)
        let body = try await context.threads.run { [self] _ in
            let body = BulkBody.make(records, items, actions, hasIdentifiers: hasIdentifiers)
            return entry?.isCompressed == true ? try GzipCompressor.packed(body) : body
        }
        let reader = BulkResponseReader(items: items.count)
        let (result, waited) = try await context.send(request(body, reader))
        switch result {
        case .failure(let error):
            let failure = DeliveryFailure(code: error.kind.rawValue, message: error.message)
            return DeliveryAnswer(all: .failed(failure), items.count, waited: waited)
        case .success(let response):
            if response.status == 413, items.count > 1 {
                return try await sendHalves(records, items, after: 1)
            }
            let content = reader.finish()
            let retryAfter = response.retryAfter(now: context.time.now())
            guard response.status == 200 else {
                let text = String(decoding: content.excerpt, as: UTF8.self)
                let failure = DeliveryFailure(
                    code: "\(response.status)",
                    message: text.isEmpty ? "the answer says nothing more" : text
                )
                return DeliveryAnswer(
                    all: response.status == 413 ? .refused(failure) : .failed(failure),
                    items.count,
                    retryAfter: retryAfter,
                    waited: waited
                )
            }
            if let problem = content.problem {
                let failure = DeliveryFailure(
                    code: "InvalidResponse",
                    message: "the answer is not one to a bulk request: \(problem)"
                )
                return DeliveryAnswer(all: .failed(failure), items.count, waited: waited)
            }
            let fates = zip(content.items, actions).map { fate(of: $0, $1) }
            var answer = DeliveryAnswer(fates: fates, retryAfter: retryAfter, waited: waited)
            answer.isJudged = true
            let wantCreate = items.indices.filter {
                !actions[$0].isCreate && Self.wantsCreate(content.items[$0])
            }
            guard !wantCreate.isEmpty else { return answer }
            return try await create(wantCreate, of: records, items, answer)
        }
    }

    /// Sends documents of data streams again, at once, as those want them.
    private func create(
        _ places: [Int],
        of records: DeliveryRecords,
        _ items: [Int],
        _ first: DeliveryAnswer
    ) async throws -> DeliveryAnswer {
        var answer = first
        let second = try await send(records, places.map { items[$0] })
        for (index, place) in places.enumerated() {
            answer.fates[place] = second.fates[index]
            answer.attempts[place] += second.attempts[index]
        }
        answer.requests += second.requests
        answer.splitRequests += second.splitRequests
        answer.waited += second.waited
        answer.retryAfter = [answer.retryAfter, second.retryAfter].compactMap(\.self).max()
        return answer
    }

    private static func wantsCreate(_ item: BulkResponseReader.Item) -> Bool {
        item.status == 400 && item.reason.contains("op_type of create")
    }

    private func sendHalves(
        _ records: DeliveryRecords,
        _ items: [Int],
        after requests: Int
    ) async throws -> DeliveryAnswer {
        let middle = items.count / 2
        var answer = try await send(records, Array(items[..<middle]))
        let second = try await send(records, Array(items[middle...]))
        answer.fates += second.fates
        answer.attempts = (answer.attempts + second.attempts).map { $0 + requests }
        answer.requests += second.requests + requests
        answer.splitRequests += second.splitRequests + requests
        answer.waited += second.waited
        answer.isJudged = answer.isJudged || second.isJudged
        answer.retryAfter = [answer.retryAfter, second.retryAfter].compactMap(\.self).max()
        return answer
    }

    private func fate(
        of item: BulkResponseReader.Item,
        _ action: BulkBody.Action
    ) -> RecordFate {
        switch item.status {
        case 200..<300: return .delivered
        // What is there under our id is this document.
        case 409 where action.isCreate && hasIdentifiers: return .delivered
        default: break
        }
        let failure = DeliveryFailure(code: "\(item.status)", message: item.reason)
        if !action.isCreate, Self.wantsCreate(item) {
            createIndexes.withLock { indexes in
                if indexes.count >= Self.maximumCreateIndexes { indexes.removeAll() }
                indexes.insert(action.index)
            }
            return .failed(failure)
        }
        let isFinal = (400..<500).contains(item.status) && item.status != 429
        return isFinal ? .refused(failure) : .failed(failure)
    }

    private static let query = "errors,items.*.status,items.*.error.type,items.*.error.reason"

    private func request(_ body: [UInt8], _ reader: BulkResponseReader) -> HTTPRequest {
        var request = request(
            "POST",
            endpoint.path + "/_bulk",
            query: [("filter_path", Self.query)],
            body: body
        )
        request.responseReader = reader
        return request
    }

    /// A request with what says who we are.
    func request(
        _ method: String,
        _ path: String,
        query: [(name: String, value: String)],
        body: [UInt8]
    ) -> HTTPRequest {
        var headers = [(name: "Host", value: endpoint.authority)]
        if !body.isEmpty { headers.append(("Content-Type", "application/x-ndjson")) }
        if entry?.isCompressed == true, !body.isEmpty {
            headers.append(("Content-Encoding", "gzip"))
        }
        switch access {
        case .password(let user, let password):
            let text = Data("\(user):\(password)".utf8).base64EncodedString()
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
                at: context.time.now()
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
