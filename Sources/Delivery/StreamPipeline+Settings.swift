internal import Destinations
internal import Records

extension StreamPipeline {
    /// Which of a stream's logs a pipeline empties, and where to.
    enum Role: String, Sendable {
        /// The stream's own log, to the destination or to a transform.
        case source
        /// What was transformed, to the destination.
        case outcome
        /// The stream's own log, to the backup bucket.
        case backup

        /// The log's reader that the pipeline is.
        var reader: String { self == .backup ? "backup" : "delivery" }

        /// The folder of its journal in the stream's.
        var journal: String {
            switch self {
            case .source: "in-flight"
            case .outcome: "outcome-in-flight"
            case .backup: "backup-in-flight"
            }
        }
    }

    /// What the stream's configuration means for buffers that are still open.
    struct Settings: Sendable {
        var version: Int
        var route: Route

        enum Route: Sendable {
            /// Records stay in the log: nothing is asked, or this program does not have it.
            case park
            case deliver(Target)
            case transform(TransformStage)
        }

        /// What keeps a stream's records where they are.
        static func parked(_ stream: DeliveryStream) -> Settings {
            Settings(version: stream.version, route: .park)
        }

        var bounds: BufferStateMachine.Bounds {
            switch route {
            case .park:
                BufferStateMachine.Bounds(bytes: .max, intervalSeconds: .max, maximumInFlight: 0)
            case .deliver(let target):
                BufferStateMachine.Bounds(
                    bytes: target.destination.bufferingHints.sizeInBytes,
                    intervalSeconds: target.destination.bufferingHints.intervalInSeconds,
                    maximumInFlight: target.maximumInFlight
                )
            case .transform(let stage): stage.bounds
            }
        }
    }

    /// Where objects go, and how they are named.
    struct Target: Sendable {
        var destination: S3Destination
        var template: KeyTemplate
        /// For outcomes alone.
        var failureTemplates: [ErrorOutputType: KeyTemplate] = [:]
        var recordDelimiter: String?
        var maximumInFlight: Int

        /// The plans of one buffer's objects.
        func plans(
            stream: String,
            version: Int,
            sequence: UInt64,
            arrival: Timestamp
        ) -> (main: ObjectPlan, failures: [String: ObjectPlan]?) {
            var generator = SystemRandomNumberGenerator()
            func plan(_ template: KeyTemplate, _ type: ErrorOutputType?) -> ObjectPlan {
                ObjectPlan(
                    stream: stream,
                    version: version,
                    sequence: sequence,
                    arrival: arrival,
                    destination: destination,
                    template: template,
                    errorOutputType: type,
                    generator: &generator
                )
            }
            var main = plan(template, nil)
            main.recordDelimiter = recordDelimiter
            guard !failureTemplates.isEmpty else { return (main, nil) }
            var failures: [String: ObjectPlan] = [:]
            for (type, template) in failureTemplates {
                var failure = plan(template, type)
                failure.recordDelimiter = "\n"
                failures[type.rawValue] = failure
            }
            return (main, failures)
        }
    }
}
