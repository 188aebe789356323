package import Logging
internal import Records

/// Which buffer the current task brings on its way: it stands in every line that is logged meanwhile.
package enum BufferContext {
    @TaskLocal static var facts: Logger.Metadata = [:]

    /// For the handlers of delivery's loggers: `buffer`, and which records it holds.
    package static let provider = Logger.MetadataProvider { facts }

    /// Runs what concerns a range of a log.
    static func with<Value>(
        _ role: StreamPipeline.Role,
        _ sequence: UInt64,
        _ log: any RecordLog,
        from start: LogMark,
        to end: LogMark,
        _ work: () async throws -> Value
    ) async rethrows -> Value {
        var facts: Logger.Metadata = ["buffer": "\(role.rawValue)-\(sequence)"]
        // Ids as PutRecord answers them; a log of outcomes has numbers of its own.
        let names =
            role == .outcome
            ? ("first_outcome", "last_outcome") : ("first_record_id", "last_record_id")
        let last = max(end.records, start.records + 1) - 1
        if role == .outcome {
            facts[names.0] = "\(start.records)"
            facts[names.1] = "\(last)"
        } else {
            facts[names.0] = "\(RecordID(logIdentity: log.identity, number: start.records))"
            facts[names.1] = "\(RecordID(logIdentity: log.identity, number: last))"
        }
        return try await $facts.withValue(facts) { try await work() }
    }
}
