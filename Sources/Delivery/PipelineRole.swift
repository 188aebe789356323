/// Which of a stream's logs a pipeline empties, and where to.
package enum PipelineRole: String, Sendable, CaseIterable {
    /// The stream's own log, to the destination or to a transform.
    case source
    /// What was transformed, to the destination.
    case outcome
    /// The stream's own log, to the backup bucket.
    case backup

    /// The log's reader that the pipeline is.
    package var reader: String { self == .backup ? "backup" : "delivery" }

    /// The folder of its journal in the stream's.
    package var journal: String {
        switch self {
        case .source: "in-flight"
        case .outcome: "outcome-in-flight"
        case .backup: "backup-in-flight"
        }
    }
}
