internal import Egress
internal import JSON
internal import Platform
internal import Records

/// An endpoint that speaks Firehose's own protocol over HTTP.
struct HTTPEndpointDestination: RecordDestination {
    // The guide allows 64 MiB of body; this is memory.
    let requestLimits = RequestLimits(dataBytes: 16 * 1024 * 1024, records: 10_000)
    let retryRules: RetryRules
    let errorOutputType = ErrorOutputType.httpEndpointFailed

    let context: RecordDestinations.Context
    let requests: HTTPEndpointRequest

    /// An endpoint, reached as its configuration and the server's settings say.
    init(_ configuration: HTTPEndpointConfiguration, _ context: RecordDestinations.Context) {
        self.context = context
        requests = HTTPEndpointRequest(
            configuration,
            context.settings,
            streamARN: context.streamARN
        )
        retryRules = .ofEndpoints(configuration.retryDuration)
    }

    // MARK: Records

    func refusals(of records: DeliveryRecords) -> [Int: DeliveryFailure] {
        var refusals: [Int: DeliveryFailure] = [:]
        for (place, item) in records.items.enumerated()
        where item.range.count > Limits.maximumRecordBytes {
            refusals[place] =
                HTTPEndpointFailure(
                    .recordTooLarge,
                    "The record has \(item.range.count) bytes; an endpoint takes "
                        + "\(Limits.maximumRecordBytes)."
                ).failure
        }
        return refusals
    }

    func failureMembers(
        of item: DeliveryRecords.Item,
        in records: DeliveryRecords
    ) -> (before: [(name: String, value: JSONValue)], after: [(name: String, value: JSONValue)]) {
        (
            [],
            [("subsequenceNumber", 0), ("dataId", .string(records.identifier(of: item)))]
        )
    }

    // MARK: Requests

    func send(_ records: DeliveryRecords, _ items: [Int]) async throws -> DeliveryAnswer {
        let identifier = HTTPEndpointRequest.identifier(records, items)
        let now = context.time.now()
        let body = try await context.threads.run { [requests] _ in
            try requests.body(records, items, identifier, now)
        }
        let (result, waited) = try await context.send(requests.records(body, identifier))
        switch result {
        case .failure(let error):
            let failure = HTTPEndpointFailure(error).failure
            return DeliveryAnswer(all: .failed(failure), items.count, waited: waited)
        case .success(let response):
            let response = HTTPEndpointResponse(response)
            let failure = response.failure(identifier)?.failure
            let fate: RecordFate =
                switch failure {
                case nil: .delivered
                case let failure? where response.isTooLarge: .refused(failure)
                case let failure?: .failed(failure)
                }
            var answer = DeliveryAnswer(all: fate, items.count, waited: waited)
            answer.setsAside = response.isTooLarge
            return answer
        }
    }
}
