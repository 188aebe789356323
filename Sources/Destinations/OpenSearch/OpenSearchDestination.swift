internal import Compression
internal import Egress
internal import JSON
internal import Platform
internal import Records
internal import Synchronization

/// An OpenSearch or Elasticsearch cluster, over its `_bulk` API.
final class OpenSearchDestination: RecordDestination {
    /// Jackson, which reads documents there, goes no deeper.
    private static let maximumDepth = 1000

    let requestLimits: RequestLimits
    let retryRules: RetryRules
    let errorOutputType: ErrorOutputType

    let context: RecordDestinations.Context
    let requests: OpenSearchRequest
    let configuration: OpenSearchConfiguration
    private let dataStreams = Mutex(DataStreams())

    /// A cluster, reached as its configuration and the server's settings say.
    ///
    /// - Throws: InvalidArgument where it wants signatures, and nobody can sign.
    init(
        _ configuration: OpenSearchConfiguration,
        _ context: RecordDestinations.Context,
        _ errorOutputType: ErrorOutputType
    ) throws(FirehoseError) {
        self.configuration = configuration
        self.context = context
        self.errorOutputType = errorOutputType
        requests = try OpenSearchRequest(configuration.endpoint, context)
        // The lines between documents need room too; where it is not enough, `send` makes halves.
        requestLimits = RequestLimits(
            dataBytes: UInt64(requests.maximumBytes / 10 * 9),
            records: 20_000
        )
        let longest = Duration.seconds(Limits.maximumLookSeconds)
        retryRules = RetryRules(
            duration: configuration.retryDuration,
            clock: .firstAttempt,
            lookDuration: configuration.hasIdentifiers
                ? min(configuration.retryDuration, longest) : nil
        )
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
        let identifier = configuration.hasIdentifiers ? records.identifier(of: item) : ""
        return (
            [
                ("esDocumentId", .string(identifier)),
                ("esIndexName", .string(indexName(of: item))),
                ("esTypeName", .string(configuration.type)),
            ], []
        )
    }

    func indexName(of item: DeliveryRecords.Item) -> String {
        configuration.index + configuration.rotation.suffix(at: item.arrival)
    }

    /// An action for each item; those of one hour are made once.
    private func actions(
        _ records: DeliveryRecords,
        _ items: [Int],
        isCreate: Bool
    ) -> [BulkBody.Action] {
        let dataStreams = dataStreams.withLock(\.self)
        var made: [Int64: BulkBody.Action] = [:]
        return items.map { place in
            let item = records.items[place]
            let hour = item.arrival.seconds / 3600
            if let action = made[hour] { return action }
            let name = indexName(of: item)
            let action = BulkBody.Action(
                index: name,
                type: configuration.type,
                isCreate: isCreate || dataStreams.contains(name),
                hasIdentifier: configuration.hasIdentifiers
            )
            made[hour] = action
            return action
        }
    }

    // MARK: Requests

    func send(_ records: DeliveryRecords, _ items: [Int]) async throws -> DeliveryAnswer {
        try await send(records, items, isCreate: false)
    }

    private func send(
        _ records: DeliveryRecords,
        _ items: [Int],
        isCreate: Bool
    ) async throws -> DeliveryAnswer {
        let line = #"{"create":{"_index":"","_type":"","_id":""}}"#.utf8.count + 16
        let names = configuration.index.utf8.count + configuration.type.utf8.count
        let total = BulkBody.maximumBytes(records, items, line + names)
        guard items.count == 1 || total <= requests.maximumBytes else {
            return try await sendHalves(records, items, isCreate: isCreate, after: 0)
        }
        let actions = actions(records, items, isCreate: isCreate)
        let body = try await context.threads.run { [requests, configuration] _ in
            let body = BulkBody.make(
                records,
                items,
                actions,
                hasIdentifiers: configuration.hasIdentifiers
            )
            return requests.isCompressed ? try GzipCompressor.packed(body) : body
        }
        let reader = BulkResponseReader(items: items.count)
        let (result, waited) = try await context.send(requests.bulk(body, reader))
        switch result {
        case .failure(let error):
            let failure = DeliveryFailure(code: error.kind.rawValue, message: error.message)
            let fate = error.mayHaveArrived ? RecordFate.unknown(failure) : .failed(failure)
            return DeliveryAnswer(all: fate, items.count, waited: waited)
        case .success(let response):
            if response.status == 413, items.count > 1 {
                var answer = try await sendHalves(records, items, isCreate: isCreate, after: 1)
                answer.isUncertain = answer.isUncertain || response.isResent
                return answer
            }
            let content = reader.finish()
            let retryAfter = response.retryAfter(now: context.time.now())
            if let fate = Self.fateOfAll(response.status, content) {
                var answer = DeliveryAnswer(
                    all: fate,
                    items.count,
                    retryAfter: response.status == 200 ? nil : retryAfter,
                    waited: waited
                )
                answer.isUncertain = response.isResent
                return answer
            }
            let fates = zip(content.items, actions).map { fate(of: $0, $1) }
            var answer = DeliveryAnswer(fates: fates, retryAfter: retryAfter, waited: waited)
            answer.isJudged = true
            answer.isUncertain = response.isResent
            let places = dataStreams.withLock { $0.learn(from: content.items, to: actions) }
            return places.isEmpty ? answer : try await create(places, of: records, items, answer)
        }
    }

    /// Sends rejected documents again, at once, as data streams want them.
    private func create(
        _ places: [Int],
        of records: DeliveryRecords,
        _ items: [Int],
        _ first: DeliveryAnswer
    ) async throws -> DeliveryAnswer {
        var answer = first
        let second = try await send(records, places.map { items[$0] }, isCreate: true)
        for (index, place) in places.enumerated() {
            // The first rejection stands: its cause was another one.
            if case .refused = second.fates[index] { continue }
            answer.fates[place] = second.fates[index]
            answer.attempts[place] += second.attempts[index]
        }
        answer.count(second)
        return answer
    }

    private func sendHalves(
        _ records: DeliveryRecords,
        _ items: [Int],
        isCreate: Bool,
        after requests: Int
    ) async throws -> DeliveryAnswer {
        let middle = items.count / 2
        var answer = try await send(records, Array(items[..<middle]), isCreate: isCreate)
        let second = try await send(records, Array(items[middle...]), isCreate: isCreate)
        answer.fates += second.fates
        answer.attempts = (answer.attempts + second.attempts).map { $0 + requests }
        answer.count(second)
        answer.requests += requests
        answer.splitRequests += requests
        answer.isJudged = answer.isJudged || second.isJudged
        return answer
    }

    // MARK: Answers

    /// What becomes of all documents alike; nil where the answer has items.
    private static func fateOfAll(
        _ status: Int,
        _ content: BulkResponseReader.Content
    ) -> RecordFate? {
        guard status == 200 else {
            let text = String(decoding: content.excerpt, as: UTF8.self)
            let failure = DeliveryFailure(
                code: "\(status)",
                message: text.isEmpty ? "the answer says nothing more" : text
            )
            switch status {
            case 413: return .refused(failure)
            // It was not done (RFC 9110, section 15).
            case 400..<500 where status != 408, 501, 505: return .failed(failure)
            // The cluster's own word; a gateway's says nothing of what is behind it.
            case 503 where text.hasPrefix("{\"error\":{"): return .failed(failure)
            default: return .unknown(failure)
            }
        }
        return content.problem.map { problem in
            .unknown(
                DeliveryFailure(
                    code: "InvalidResponse",
                    message: "the answer is not one to a bulk request: \(problem)"
                )
            )
        }
    }

    private func fate(
        of item: BulkResponseReader.Item,
        _ action: BulkBody.Action
    ) -> RecordFate {
        switch item.status {
        case 200..<300: return .delivered
        // What is there under our id is this document.
        case 409 where action.isCreate && configuration.hasIdentifiers: return .delivered
        default: break
        }
        let failure = DeliveryFailure(code: "\(item.status)", message: item.reason)
        switch item.status {
        case 429: return .failed(failure)
        case 400..<500: return .refused(failure)
        default: return .unknown(failure)
        }
    }
}
