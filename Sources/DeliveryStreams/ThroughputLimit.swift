internal import Platform
package import Records
internal import Synchronization

/// How much a stream takes a second, as AWS's quotas limit it; nil stands for no limit.
///
/// Source: developer guide, "Quotas": records, requests and bytes for direct puts.
package struct ThroughputLimit: Sendable, Hashable {
    /// Records a second.
    package var recordsPerSecond: Int?
    /// Requests a second, of either operation.
    package var requestsPerSecond: Int?
    /// Bytes of record data a second.
    package var bytesPerSecond: Int?

    /// Limits.
    package init(
        recordsPerSecond: Int? = nil,
        requestsPerSecond: Int? = nil,
        bytesPerSecond: Int? = nil
    ) {
        self.recordsPerSecond = recordsPerSecond
        self.requestsPerSecond = requestsPerSecond
        self.bytesPerSecond = bytesPerSecond
    }
}

/// The limits of all streams: the first whose pattern matches a stream's name is that stream's.
package struct ThroughputLimits: Sendable {
    private let rules: [(names: Glob, limit: ThroughputLimit)]

    /// Limits in their order; by default none.
    package init(_ rules: [(names: Glob, limit: ThroughputLimit)] = []) { self.rules = rules }

    /// The limiter of a stream that has just become active; nil where nothing limits it.
    func limiter(ofStream name: String, now: Timestamp) -> ThroughputLimiter? {
        rules.first { $0.names.matches(name) }.map { ThroughputLimiter($0.limit, now: now) }
    }
}

/// Counts what one stream takes against its limit.
///
/// A token bucket for each quantity, which holds what a second brings.
final class ThroughputLimiter: Sendable {
    private struct State {
        var records: TokenBucket?
        var requests: TokenBucket?
        var bytes: TokenBucket?
        var refilled: Timestamp
    }

    private let state: Mutex<State>

    init(_ limit: ThroughputLimit, now: Timestamp) {
        state = Mutex(
            State(
                records: limit.recordsPerSecond.map { TokenBucket(perSecond: $0) },
                requests: limit.requestsPerSecond.map { TokenBucket(perSecond: $0) },
                bytes: limit.bytesPerSecond.map { TokenBucket(perSecond: $0) },
                refilled: now
            )
        )
    }

    /// How many of a batch's records, from the first on, the stream takes now.
    func admit(_ batch: RecordBatch, now: Timestamp) -> Int {
        state.withLock { state in
            // A clock that was set back brings nothing, and takes nothing.
            let milliseconds = max(0, now.milliseconds - state.refilled.milliseconds)
            state.refilled = now
            let seconds = Double(milliseconds) / 1000
            state.records?.refill(seconds: seconds)
            state.requests?.refill(seconds: seconds)
            state.bytes?.refill(seconds: seconds)
            if let requests = state.requests, requests.tokens < 1 { return 0 }
            var count = 0
            RecordLayout.forEachRecord(in: batch.payload) { record in
                if let records = state.records, records.tokens < 1 { return }
                // A record may be larger than a second's bytes: it is taken, and the bucket is in
                // debt for as long as it is worth.
                if let bytes = state.bytes, bytes.tokens <= 0 { return }
                state.records?.tokens -= 1
                state.bytes?.tokens -= Double(record.count)
                count += 1
            }
            if count > 0 { state.requests?.tokens -= 1 }
            return count
        }
    }
}
