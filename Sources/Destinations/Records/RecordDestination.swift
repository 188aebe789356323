package import JSON
package import Records

/// A destination that takes records in requests, and may take some and refuse others.
///
/// It says what happened, and never decides whether to try again.
package protocol RecordDestination: Sendable {
    /// What one request may hold at the most.
    var requestLimits: RequestLimits { get }
    /// How what failed is tried again.
    var retryRules: RetryRules { get }
    /// What its failed records are delivered as.
    var errorOutputType: ErrorOutputType { get }

    /// Finds records that would be refused whatever the destination thinks of them.
    ///
    /// Blocks for as long as it takes to read them.
    ///
    /// - Returns: Their places among the items, with the reason.
    func refusals(of records: DeliveryRecords) -> [Int: DeliveryFailure]

    /// Makes one attempt with some of the records, in order.
    ///
    /// - Throws: `CancellationError` alone.
    func send(_ records: DeliveryRecords, _ items: [Int]) async throws -> DeliveryAnswer

    /// Asks which of some records it holds; called where `RetryRules.lookDuration` is not nil.
    ///
    /// - Throws: `CancellationError` alone.
    func look(for records: DeliveryRecords, _ items: [Int]) async throws -> LookAnswer

    /// Asks whether it is there, without sending records.
    ///
    /// - Throws: `CancellationError` alone.
    func reach() async throws -> Reach

    /// The members of a failed record's line that are this destination's own: those before and those
    /// behind `rawData`.
    func failureMembers(
        of item: DeliveryRecords.Item,
        in records: DeliveryRecords
    ) -> (before: [(name: String, value: JSONValue)], after: [(name: String, value: JSONValue)])
}

extension RecordDestination {
    /// Most cannot be asked.
    package func look(for records: DeliveryRecords, _ items: [Int]) async throws -> LookAnswer {
        .refused(DeliveryFailure(code: "NotAskable", message: "the destination cannot be asked"))
    }
}

/// What a destination says of records that it may hold.
package enum LookAnswer: Sendable {
    /// For each whether it is there.
    case found([Bool])
    /// It cannot be told now.
    case failed(DeliveryFailure)
    /// It will not be told.
    case refused(DeliveryFailure)
}

/// What a request may hold.
package struct RequestLimits: Sendable {
    /// Bytes of record data.
    package var dataBytes: UInt64
    /// Records.
    package var records: UInt64

    /// Limits.
    package init(dataBytes: UInt64, records: UInt64) {
        self.dataBytes = dataBytes
        self.records = records
    }
}

/// What became of one record in an attempt.
package enum RecordFate: Sendable, Hashable {
    case delivered
    /// Another attempt may go better.
    case failed(DeliveryFailure)
    /// Another attempt may go better; but the record may be there, since no answer says that it is not.
    case unknown(DeliveryFailure)
    /// No attempt will.
    case refused(DeliveryFailure)
}

/// What became of an attempt.
package struct DeliveryAnswer: Sendable {
    /// A fate for each record that was sent, in order.
    package var fates: [RecordFate]
    /// How long the destination asks to be left alone.
    package var retryAfter: Duration?
    /// How long its answers were waited for.
    package var waited: Duration
    /// How many requests carried each record, in order.
    package var attempts: [Int]
    /// Requests that were made.
    package var requests = 1
    /// How many of them were refused as too large, and made anew in pieces.
    package var splitRequests = 0
    /// Whether refused records are to be kept on disk, not in the bucket for failed ones.
    package var setsAside = false
    /// Whether the destination may have got the records before, in a request without an answer.
    package var isUncertain = false
    /// Whether the destination judged each record, though it may have taken none.
    package var isJudged = false
    /// Where the records are at the destination and are confirmed later: waits for that, without them,
    /// and gives the true answer, of which `requests` and `attempts` count as this one's.
    package var confirmation: (@Sendable () async throws -> DeliveryAnswer)?

    /// An answer.
    package init(fates: [RecordFate], retryAfter: Duration? = nil, waited: Duration = .zero) {
        self.fates = fates
        attempts = Array(repeating: 1, count: fates.count)
        self.retryAfter = retryAfter
        self.waited = waited
    }

    /// Counts another request for the same records, or for others of the same attempt, as one with this.
    mutating func count(_ other: DeliveryAnswer) {
        requests += other.requests
        splitRequests += other.splitRequests
        waited += other.waited
        isUncertain = isUncertain || other.isUncertain
        retryAfter = [retryAfter, other.retryAfter].compactMap(\.self).max()
    }

    /// The same fate for all of so many records.
    init(all fate: RecordFate, _ count: Int, retryAfter: Duration? = nil, waited: Duration) {
        self.init(
            fates: Array(repeating: fate, count: count),
            retryAfter: retryAfter,
            waited: waited
        )
    }
}
