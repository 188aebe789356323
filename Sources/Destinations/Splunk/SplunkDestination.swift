internal import JSON
internal import Platform
internal import Records

/// Splunk's HTTP Event Collector with indexer acknowledgement.
///
/// Source: Splunk documentation, "HTTP Event Collector" and "About HTTP Event Collector Indexer
/// Acknowledgment"; developer guide, "Understand data delivery in Amazon Data Firehose", Splunk.
struct SplunkDestination: RecordDestination {
    private static let maximumDepth = 512

    // The largest buffer has 5 MiB; transformed records may be more.
    let requestLimits = RequestLimits(dataBytes: 5 * 1024 * 1024, records: 50_000)
    let retryRules: RetryRules
    let errorOutputType = ErrorOutputType.splunkFailed

    let context: RecordDestinations.Context
    let requests: SplunkRequest
    private let configuration: SplunkConfiguration

    /// A collector, reached as its configuration and the server's settings say.
    init(_ configuration: SplunkConfiguration, _ context: RecordDestinations.Context) {
        self.configuration = configuration
        self.context = context
        requests = SplunkRequest(configuration, context.settings)
        retryRules = .ofEndpoints(configuration.retryDuration)
    }

    // MARK: Records

    func refusals(of records: DeliveryRecords) -> [Int: DeliveryFailure] {
        guard configuration.endpointType == .event else { return [:] }
        var refusals: [Int: DeliveryFailure] = [:]
        for (place, item) in records.items.enumerated() {
            do throws(JSONCursor.Failure) {
                try Self.checkEvents(records.data(of: item).bindMemory(to: UInt8.self).span)
            } catch {
                let message = "The record is not a HEC event: \(error)."
                refusals[place] = SplunkFailure(.invalidDataFormat, message).failure
            }
        }
        return refusals
    }

    /// One or more objects, each with an event that is neither null nor blank.
    private static func checkEvents(_ json: Span<UInt8>) throws(JSONCursor.Failure) {
        var cursor = JSONCursor(maximumDepth: maximumDepth)
        repeat {
            try cursor.expect(UInt8(ascii: "{"), json)
            var hasEvent = false
            if !cursor.take(UInt8(ascii: "}"), json) {
                repeat {
                    let name = try cursor.string(json)
                    try cursor.expect(UInt8(ascii: ":"), json)
                    let isEvent = cursor.text(name, json) == "event"
                    let first = cursor.peek(json)
                    let start = cursor.at
                    try cursor.skipValue(json)
                    let isBlank =
                        first == UInt8(ascii: "n")
                        || cursor.at - start == 2
                            && first == UInt8(ascii: "\"")
                    if isEvent { hasEvent = !isBlank }
                } while cursor.take(UInt8(ascii: ","), json)
                try cursor.expect(UInt8(ascii: "}"), json)
            }
            guard hasEvent else { throw cursor.failure("an object without an event") }
        } while cursor.peek(json) != nil
    }

    func failureMembers(
        of item: DeliveryRecords.Item,
        in records: DeliveryRecords
    ) -> (before: [(name: String, value: JSONValue)], after: [(name: String, value: JSONValue)]) {
        ([], [("EventId", .string(records.identifier(of: item) + ".0"))])
    }

    // MARK: Requests

    func send(_ records: DeliveryRecords, _ items: [Int]) async throws -> DeliveryAnswer {
        let body = try await context.threads.run { _ in SplunkRequest.body(records, items) }
        let start = context.time.steady()
        let (result, _) = try await context.send(requests.records(body))
        let failure: SplunkFailure
        switch result {
        case .failure(let error): failure = SplunkFailure(error)
        case .success(let response):
            let response = SplunkResponse(response)
            if response.status != 200 {
                failure = response.failure
            } else if let number = response.acknowledgement {
                return unconfirmed(number, response.cookies, items.count, since: start)
            } else {
                failure = SplunkFailure(
                    .disabledAck,
                    "Splunk gave no ackId: is indexer acknowledgement on for the token?"
                )
            }
        }
        let waited = context.time.steady() - start
        return DeliveryAnswer(all: failure.fate, items.count, waited: waited)
    }

    /// The answer for records that Splunk has, and acknowledges later.
    private func unconfirmed(
        _ number: Int,
        _ cookies: String,
        _ count: Int,
        since start: Timestamp
    ) -> DeliveryAnswer {
        var answer = DeliveryAnswer(
            all: .delivered,
            count,
            waited: context.time.steady() - start
        )
        answer.confirmation = { [self] in
            let failure = try await waitForAcknowledgement(number, since: start, cookies)
            return DeliveryAnswer(
                all: failure?.fate ?? .delivered,
                count,
                waited: context.time.steady() - start
            )
        }
        return answer
    }

    /// Asks until the data is indexed, or until the time for that is up.
    ///
    /// - Returns: What went wrong; nil where the data is indexed.
    private func waitForAcknowledgement(
        _ number: Int,
        since start: Timestamp,
        _ cookies: String
    ) async throws -> SplunkFailure? {
        let deadline = start + configuration.acknowledgementTimeout
        var pause: Duration = .seconds(1)
        while context.time.steady() < deadline {
            try await context.time.sleep(until: min(deadline, context.time.steady() + pause))
            pause = min(.seconds(10), pause * 2)
            let request = requests.acknowledgement(number, cookies: cookies)
            // What could not be asked is asked again: the data may well be there.
            guard case (.success(let response), _) = try await context.send(request) else {
                continue
            }
            let answer = SplunkResponse(response)
            if answer.code == SplunkResponse.Code.acknowledgementIsDisabled {
                return answer.failure
            }
            if answer.status == 400 || answer.status == 404 {
                return SplunkFailure(.proxyWithoutStickySessions, answer.excerpt)
            }
            if answer.isAcknowledged(number) { return nil }
        }
        return SplunkFailure(.ackTimeout, "Splunk did not acknowledge the data in time.")
    }
}
