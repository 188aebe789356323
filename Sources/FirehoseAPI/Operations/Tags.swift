internal import JSON
internal import Records

/// TagDeliveryStream, UntagDeliveryStream and ListTagsForDeliveryStream (API reference).
extension ControlPlane {
    func tag(_ name: String, _ request: JSONValue) async throws(FirehoseError) {
        let new = try Self.tags(request["Tags"])
        try await registry.update(name) { stream throws(FirehoseError) in
            let keys = Set(new.map { Array($0.key.utf8) })
            stream.tags = Self.sorted(
                stream.tags.filter { !keys.contains(Array($0.key.utf8)) } + new
            )
            guard stream.tags.count <= Limits.maximumTags else {
                throw FirehoseError(
                    .limitExceeded,
                    "Firehose \(name) would have \(stream.tags.count) tags; "
                        + "\(Limits.maximumTags) are allowed"
                )
            }
        }
    }

    func untag(_ name: String, _ request: JSONValue) async throws(FirehoseError) {
        let names = (request["TagKeys"]?.array ?? []).compactMap(\.string)
        let keys = Set(names.map { Array($0.utf8) })
        try await registry.update(name) { stream in
            stream.tags.removeAll { keys.contains(Array($0.key.utf8)) }
        }
    }

    func listTags(_ name: String, _ request: JSONValue) throws(FirehoseError) -> JSONValue {
        let tags = try registry.describe(name).stream.tags
        let start = request["ExclusiveStartTagKey"]?.string
        let rest = tags.filter { tag in
            start.map { $0.utf8.lexicographicallyPrecedes(tag.key.utf8) } ?? true
        }
        let limit = request["Limit"]?.integer ?? Limits.maximumTags
        let page = rest.prefix(limit).map { tag -> JSONValue in
            var described: JSONValue = ["Key": .string(tag.key)]
            described["Value"] = tag.value.map { .string($0) }
            return described
        }
        return ["Tags": .array(page), "HasMoreTags": .boolean(rest.count > limit)]
    }

    /// The tags of a request, in order.
    static func tags(_ value: JSONValue?) throws(FirehoseError) -> [DeliveryStream.Tag] {
        let tags = (value?.array ?? []).map { tag in
            DeliveryStream.Tag(key: tag["Key"]?.string ?? "", value: tag["Value"]?.string)
        }
        guard Set(tags.map { Array($0.key.utf8) }).count == tags.count else {
            throw FirehoseError(.invalidArgument, "Tags: a key is given more than once")
        }
        return sorted(tags)
    }

    private static func sorted(_ tags: [DeliveryStream.Tag]) -> [DeliveryStream.Tag] {
        tags.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    }
}
