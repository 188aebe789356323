internal import Records

/// ListDeliveryStreams (API reference).
struct ListDeliveryStreamsRequest: Decodable {
    var limit: Int?
    var type: String?
    var start: String?

    enum CodingKeys: String, CodingKey {
        case limit = "Limit"
        case type = "DeliveryStreamType"
        case start = "ExclusiveStartDeliveryStreamName"
    }
}

struct ListDeliveryStreamsAnswer: Encodable {
    var names: [String]
    var hasMore: Bool

    enum CodingKeys: String, CodingKey {
        case names = "DeliveryStreamNames"
        case hasMore = "HasMoreDeliveryStreams"
    }
}

extension ControlPlane {
    func list(
        _ request: ListDeliveryStreamsRequest
    ) throws(FirehoseError)
        -> ListDeliveryStreamsAnswer
    {
        var problems = ConstraintViolations()
        problems.check(request.limit, in: Limits.listLimit, at: "limit")
        if let start = request.start {
            problems.checkStreamName(start, at: "exclusiveStartDeliveryStreamName")
        }
        let types = ["DirectPut", "KinesisStreamAsSource", "MSKAsSource", "DatabaseAsSource"]
        if let type = request.type, !types.contains(type) {
            problems.add(.enumeration(value: type, allowed: types), at: "deliveryStreamType")
        }
        try problems.check()
        // There are streams of one type here.
        if let type = request.type, type != DeliveryStream.Source.directPut.rawValue {
            return ListDeliveryStreamsAnswer(names: [], hasMore: false)
        }
        let (names, hasMore) = registry.list(
            after: request.start,
            limit: request.limit ?? Limits.defaultListLimit
        )
        return ListDeliveryStreamsAnswer(names: names, hasMore: hasMore)
    }
}
