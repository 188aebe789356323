internal import Egress
internal import JSON
internal import Records
internal import SigV4

/// Asks a cluster which documents it holds: by `_mget`, which knows what is not refreshed yet, and in
/// data streams, which have no such call, by a search behind a refresh.
///
/// Source: OpenSearch documentation, "Multi-get documents", "IDs" (query), "Refresh index".
struct OpenSearchLook {
    /// A document.
    struct Document: Hashable {
        var index: String
        var id: String
    }

    /// What is said of a document.
    private enum Found {
        case isThere(Bool)
        /// It is asked for in another way.
        case isNotTold(DeliveryFailure)
    }

    /// Documents of one request; a search gives 10,000 at the most (`index.max_result_window`).
    private static let most = 5000
    private static let noIndex = "index_not_found_exception"

    private let requests: OpenSearchRequest
    private let context: RecordDestinations.Context
    private let type: String

    /// A look at a cluster, for documents of a type; empty for none.
    init(_ requests: OpenSearchRequest, _ context: RecordDestinations.Context, type: String) {
        self.requests = requests
        self.context = context
        self.type = type
    }

    /// Whether each document is there; or why that cannot be told.
    func look(for documents: [Document]) async throws -> LookAnswer {
        do {
            var isThere: [Bool] = []
            while isThere.count < documents.count {
                let some = Array(documents[isThere.count...].prefix(Self.most))
                isThere += try await lookForSome(some)
            }
            return .found(isThere)
        } catch let failure as Failure {
            return failure.isFinal ? .refused(failure.reason) : .failed(failure.reason)
        }
    }

    private struct Failure: Error {
        var reason: DeliveryFailure
        var isFinal = false
    }

    private func lookForSome(_ documents: [Document]) async throws -> [Bool] {
        let found = try await get(documents)
        var isThere = found.map { if case .isThere(true) = $0 { true } else { false } }
        var others: [String: [Int]] = [:]
        for (place, found) in found.enumerated() {
            if case .isNotTold = found { others[documents[place].index, default: []].append(place) }
        }
        for (index, places) in others {
            guard case .isNotTold(let reason) = found[places[0]] else { continue }
            let known = try await search(index, places.map { documents[$0].id }, reason)
            for place in places { isThere[place] = known.contains(documents[place].id) }
        }
        return isThere
    }

    private func get(_ documents: [Document]) async throws -> [Found] {
        let type = type.isEmpty ? "" : ",\"_type\":\(JSONText.quoted(type))"
        let list = documents.map { document in
            "{\"_index\":\(JSONText.quoted(document.index))\(type)"
                + ",\"_id\":\"\(document.id)\",\"_source\":false}"
        }
        let answer = try await answer(
            requests.call(
                "/_mget",
                "{\"docs\":[\(list.joined(separator: ","))]}",
                wanted: "docs._id,docs.found,docs.error.type,docs.error.reason"
            )
        )
        guard let found = answer?["docs"]?.array, found.count == documents.count else {
            let count = answer?["docs"]?.array?.count ?? 0
            throw Self.nonsense("\(count) documents in answer to \(documents.count)")
        }
        return try zip(found, documents).map { found, document in
            guard found["_id"]?.string == document.id else {
                throw Self.nonsense("it is not about the documents that were asked for")
            }
            if let isThere = found["found"]?.boolean { return .isThere(isThere) }
            // Of a data stream as well it is said that there is no such index.
            let type = found["error"]?["type"]?.string ?? "no answer"
            let reason = found["error"]?["reason"]?.string ?? ""
            return .isNotTold(DeliveryFailure(code: type, message: reason))
        }
    }

    /// The ids that are in an index, or whatever a name stands for; none where it stands for nothing.
    ///
    /// Where not all of it can be searched, `reason` says why `_mget` told nothing.
    private func search(
        _ index: String,
        _ ids: [String],
        _ reason: DeliveryFailure
    ) async throws -> Set<String> {
        let path = "/" + URIEncoding.encode(index)
        let refresh = requests.call("\(path)/_refresh", wanted: "_shards.failed")
        guard let refreshed = try await answer(refresh) else { return [] }
        let list = ids.map { "\"\($0)\"" }.joined(separator: ",")
        let query = "{\"ids\":{\"values\":[\(list)]}}"
        let found = try await answer(
            requests.call(
                "\(path)/_search",
                "{\"size\":\(ids.count),\"_source\":false,\"query\":\(query)}",
                wanted: "timed_out,_shards.total,_shards.successful,hits.hits._id"
            )
        )
        guard let found else { return [] }
        // An unavailable shard counts as no failure, and may hold what was not found.
        let shards = found["_shards"]
        guard refreshed["_shards"]?["failed"]?.integer == 0, found["timed_out"]?.boolean == false,
            let total = shards?["total"]?.integer, shards?["successful"]?.integer == total
        else { throw Failure(reason: reason) }
        let hits = found["hits"]?["hits"]?.array ?? []
        return Set(hits.compactMap { $0["_id"]?.string })
    }

    /// What the cluster answers; nil where there is no such index.
    private func answer(_ request: HTTPRequest) async throws -> JSONValue? {
        switch try await context.send(request).0 {
        case .failure(let error):
            throw Failure(
                reason: DeliveryFailure(code: error.kind.rawValue, message: error.message)
            )
        case .success(let response):
            let value = try? JSONCursor.value(of: response.body)
            if response.status == 404, value?["error"]?["type"]?.string == Self.noIndex {
                return nil
            }
            guard response.status == 200 else {
                let isLater = [408, 429].contains(response.status)
                throw Failure(
                    reason: DeliveryFailure(code: "\(response.status)", message: response.excerpt),
                    isFinal: (400..<500).contains(response.status) && !isLater
                )
            }
            guard let value else { throw Self.nonsense("it is not JSON") }
            return value
        }
    }

    private static func nonsense(_ problem: String) -> Failure {
        Failure(
            reason: DeliveryFailure(
                code: "InvalidResponse",
                message: "the answer is not one to such a request: \(problem)"
            )
        )
    }
}

extension OpenSearchDestination {
    func look(
        for records: DeliveryRecords,
        _ items: [Int]
    ) async throws -> LookAnswer {
        let documents = items.map { place in
            let item = records.items[place]
            return OpenSearchLook.Document(
                index: indexName(of: item),
                id: records.identifier(of: item)
            )
        }
        let look = OpenSearchLook(requests, context, type: configuration.type)
        return try await look.look(for: documents)
    }
}
