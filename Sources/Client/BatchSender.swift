package import Records

/// Puts batches, and those of their records that were refused again.
package struct BatchSender: Sendable {
    private let client: FirehoseClient
    private let stream: String
    private let retryDuration: Duration
    private let time: any TimeSource

    /// Sends to a stream; what fails is tried again for `retryDuration` from the first failure on.
    package init(
        _ client: FirehoseClient,
        stream: String,
        retryDuration: Duration,
        time: any TimeSource = SystemTime()
    ) {
        self.client = client
        self.stream = stream
        self.retryDuration = retryDuration
        self.time = time
    }

    /// Puts a batch until all of it is taken.
    ///
    /// - Throws: `FirehoseClient.Failure` for the first record that was not taken in time, or at
    ///   once where it is of no use to try again; `taken` has counted the others then. `retrying`
    ///   hears of the first failure of a batch that is tried again. Once `isStopped`, nothing is tried
    ///   again.
    package func send(
        _ batch: [[UInt8]],
        taken: (_ records: Int, _ bytes: Int) -> Void,
        retrying: (FirehoseClient.Failure) -> Void,
        isStopped: () -> Bool = { false }
    ) async throws {
        var rest = batch
        var delays = RetryDelays(base: .milliseconds(100), cap: .seconds(5))
        var generator = SystemRandomNumberGenerator()
        var firstFailure: ContinuousClock.Instant?
        while !rest.isEmpty {
            let failure: FirehoseClient.Failure
            do {
                let results = try await client.put(rest, to: stream)
                let refused = zip(rest, results).filter { $0.1 != nil }
                let done = zip(rest, results).filter { $0.1 == nil }.map { $0.0.count }
                taken(done.count, done.reduce(0, +))
                guard let first = refused.first?.1 else { return }
                rest = refused.map(\.0)
                failure = first
            } catch let error as FirehoseClient.Failure {
                guard error.isTransient else { throw error }
                failure = error
            }
            let now = time.instant()
            let end = (firstFailure ?? now) + retryDuration
            guard now < end else { throw failure }
            if firstFailure == nil { retrying(failure) }
            firstFailure = firstFailure ?? now
            let next = min(end, now + delays.next(using: &generator))
            while true {
                let left = time.instant().duration(to: next)
                guard left > .zero else { break }
                guard !isStopped() else { throw failure }
                try await time.sleep(for: min(left, .milliseconds(200)))
            }
        }
    }
}
