/// The failed records of a buffer, durable beside its journal entry: a number, a code, a message and a count
/// of attempts each, in a file; their data stays in the log.
package struct KeptRecords: Sendable, Codable, Hashable {
    /// What came of the buffer's records.
    package var summary: FailureSummary
    /// Bytes of the content, as it was before it was encrypted.
    var byteCount: UInt64
    var sha256: [UInt8]
    /// The file's name, which says whether it is encrypted.
    var name: String

    /// What is kept in a file.
    package init(summary: FailureSummary, byteCount: UInt64, sha256: [UInt8], name: String) {
        self.summary = summary
        self.byteCount = byteCount
        self.sha256 = sha256
        self.name = name
    }
}

/// The same as versions before wrote it: the objects themselves, a file each.
package struct KeptFailures: Sendable, Codable, Hashable {
    /// One object.
    struct Part: Sendable, Codable, Hashable {
        var type: String
        /// Whether it is kept on this server's disk, not in the bucket.
        var isSetAside: Bool
        var records: Int
        var dataBytes: UInt64
        var byteCount: UInt64
        var sha256: [UInt8]

        /// Its file's name, which says whether it is encrypted.
        var name: String
    }

    /// What the log tells of the buffer.
    struct Counts: Sendable, Codable, Hashable {
        var records = 0
        var failed = 0
        var bytes = 0
        var requests = 0
        var attempts = 0
    }

    var parts: [Part]
    var counts: Counts
    /// Whether some of them were given up, and the destination did not refuse them.
    var hasGivenUp: Bool

    /// What came of the buffer's records.
    var summary: FailureSummary {
        FailureSummary(
            records: counts.records,
            failed: counts.failed,
            bytes: counts.bytes,
            requests: counts.requests,
            attempts: counts.attempts,
            hasGivenUp: hasGivenUp
        )
    }
}
