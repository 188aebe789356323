internal import Destinations
internal import Logging
internal import Platform
internal import Records

extension StreamPipeline {
    /// How far a buffer has come.
    struct RecordsWork {
        /// With what was decided since it was sealed.
        var entry: JournalEntry
        let kind: DestinationKind
        let lines: FailedLines
        /// Where the chunk begins that comes next.
        var place: LogMark
        /// The records of that chunk that are not settled; nil before its first attempt.
        var pending: [Int]?
        var chunkAttempts = 0
        /// What the retry duration is counted from.
        var clockStart: Timestamp?
        /// Time spent waiting for answers since then.
        var waited: Duration = .zero
        var delays: RetryDelays?
        var hasGivenUp = false
        /// Whether the retry duration was used up, and nothing was taken since.
        var isWaitedOut = false
        /// The numbers of the records that the last request was for.
        var sent: [UInt64] = []
        /// Bytes of their data.
        var sentBytes: UInt64 = 0
        /// Whether too many records are open for the journal to say which.
        var isProgressFrozen = false
        /// How many requests more than attempts carried a record of the chunk, by its place.
        var extraRequests: [Int: Int] = [:]
        var counts = KeptFailures.Counts()
        /// What there is for the bucket and for this server's disk, once all is settled.
        var failures: (parts: [Spooler.Part], setAside: Spooler.Part?)?

        init(_ entry: JournalEntry, _ plan: RecordsPlan, lines: FailedLines) {
            self.entry = entry
            kind = plan.destination.kind
            self.lines = lines
            place = entry.start
            clockStart = entry.firstAttempt
            if let kept = entry.failures {
                counts = kept.counts
                hasGivenUp = kept.hasGivenUp
            }
        }

        var facts: Logger.Metadata {
            [
                "destination": "\(kind.rawValue)", "records": "\(counts.records)",
                "failed": "\(counts.failed)", "bytes": "\(counts.bytes)",
                "requests": "\(counts.requests)", "attempts": "\(counts.attempts)",
            ]
        }
    }
}
