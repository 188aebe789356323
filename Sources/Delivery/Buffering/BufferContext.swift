package import Logging
internal import Records

/// Which buffer the current task brings on its way: it stands in every line that is logged meanwhile.
package enum BufferContext {
    @TaskLocal static var facts: Logger.Metadata = [:]

    /// For the handlers of delivery's loggers: `buffer`, and which records it holds.
    package static let provider = Logger.MetadataProvider { facts }

    /// Runs what concerns a buffer.
    static func with<Value>(
        _ work: any BufferWork,
        _ context: PipelineContext,
        _ body: () async throws -> Value
    ) async rethrows -> Value {
        var facts: Logger.Metadata = ["buffer": "\(context.role.rawValue)-\(work.sequence)"]
        let first = work.start.records
        let last = max(work.end.records, first + 1) - 1
        if context.role == .outcome {
            // A log of outcomes has numbers of its own.
            facts["first_outcome"] = "\(first)"
            facts["last_outcome"] = "\(last)"
        } else {
            // Ids as PutRecord answers them.
            func identifier(_ generation: UInt64, _ count: UInt64) -> RecordID {
                // As logs without gaps number them.
                RecordID(generation: generation, number: RecordNumber(count))
            }
            let log = context.log
            let (begun, ended) = (log.generation(at: work.start), log.generation(before: work.end))
            facts["first_record_id"] = "\(identifier(begun, first))"
            facts["last_record_id"] = "\(identifier(ended, last))"
        }
        return try await $facts.withValue(facts) { try await body() }
    }
}
