package import Destinations
internal import JSON
package import Records

/// A sealed buffer: what was decided about it before its first attempt, and what came of it since.
package struct JournalEntry: Sendable, Codable, Hashable {
    /// The format: 2 for a buffer that does not end as an object, 3 where its failed records are kept by
    /// their numbers, else 1.
    package var version = 1
    /// The buffer's number in its stream.
    package var sequence: UInt64
    /// Its first record.
    package var start: LogMark
    /// Behind its last.
    package var end: LogMark
    /// What is written where; where records go to a destination of their own, the object of those that
    /// it does not take.
    package var plan: ObjectPlan
    /// Where records go one by one; nil where they become an object.
    package var records: RecordsPlan?
    /// Where failed records go, by the raw value of their `ErrorOutputType`; nil for a buffer of
    /// records as they were put, which cannot have failed.
    package var failurePlans: [String: ObjectPlan]?
    /// When the first attempt was made; retries end so long after.
    package var firstAttempt: Timestamp
    /// What its failed records came to, as versions before 3 keep it: with it, no record of the buffer is
    /// sent again.
    package var failures: KeptFailures?
    /// Its failed records: with it, no record of the buffer is sent again.
    package var kept: KeptRecords?
    /// Whether nothing is left to do but to move the checkpoint, which waits for an earlier buffer.
    package var isSettled: Bool?
    /// What is delivered of it, where its records go one by one; nil for nothing that is known.
    package var progress: DeliveryProgress?
    /// What its object is loaded into; nil where it stays an object.
    package var copy: CopyPlan?
    /// How far that has come; nil before the object and its manifest are stored.
    package var load: LoadState?

    /// An entry.
    package init(
        sequence: UInt64,
        start: LogMark,
        end: LogMark,
        plan: ObjectPlan,
        failurePlans: [String: ObjectPlan]? = nil,
        records: RecordsPlan? = nil,
        copy: CopyPlan? = nil,
        firstAttempt: Timestamp
    ) {
        version = records == nil && copy == nil ? 1 : 2
        self.copy = copy
        self.sequence = sequence
        self.start = start
        self.end = end
        self.plan = plan
        self.failurePlans = failurePlans
        self.records = records
        self.firstAttempt = firstAttempt
    }

    /// What becomes of a buffer beyond its object: nothing, unless one of them is there.
    struct Use {
        var records: RecordsPlan?
        var copy: CopyPlan?
    }

    /// The objects of failed records, by what they are delivered as.
    var failureObjects: [ErrorOutputType: ObjectPlan] {
        var objects: [ErrorOutputType: ObjectPlan] = [:]
        for (type, plan) in failurePlans ?? [:] {
            if let type = ErrorOutputType(rawValue: type) { objects[type] = plan }
        }
        if let kind = records?.destination.kind, let type = ErrorOutputType(of: kind) {
            objects[type] = plan
        }
        return objects
    }
}

/// A destination that takes a buffer's records one by one.
package struct RecordsPlan: Sendable, Codable, Hashable {
    /// Its configuration, without what is of no matter for a sealed buffer.
    package var destination: DestinationConfiguration
    /// What is put behind each record.
    package var delimiter: String?

    /// A destination.
    package init(destination: DestinationConfiguration, delimiter: String? = nil) {
        self.destination = destination
        self.delimiter = delimiter
        for name in Self.others { self.destination.members[name] = nil }
    }

    private static let others = [
        "RoleARN", "BufferingHints", "S3Configuration", "S3BackupMode", "ProcessingConfiguration",
        "CloudWatchLoggingOptions", "VpcConfiguration", "SecretsManagerConfiguration",
    ]
}
