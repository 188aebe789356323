internal import Destinations
internal import Records
internal import TransformHost

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

        /// Whether records stay in the log.
        var isParked: Bool {
            if case .park = route { true } else { false }
        }

        /// What keeps a stream's records where they are.
        static func parked(_ stream: DeliveryStream) -> Settings {
            Settings(version: stream.version, route: .park)
        }

        /// Where objects go; nil where none do from here.
        var bucket: String? {
            if case .deliver(let target) = route { target.destination.bucket } else { nil }
        }

        /// What failed records may be called that leave from here.
        var failureTypes: [ErrorOutputType] {
            guard case .deliver(let target) = route else { return [] }
            let own = target.records.flatMap { ErrorOutputType(of: $0.kind) }
            return [own].compactMap(\.self) + target.failureTemplates.keys
        }

        /// Of the transform, where there is one with a program.
        var processes: TransformPool.Processes? {
            if case .transform(let stage) = route { stage.processes } else { nil }
        }

        var bounds: BufferStateMachine.Bounds {
            switch route {
            case .park:
                BufferStateMachine.Bounds(bytes: .max, intervalSeconds: .max, maximumInFlight: 0)
            case .deliver(let target):
                BufferStateMachine.Bounds(
                    bytes: target.bufferingHints.sizeInBytes,
                    intervalSeconds: target.bufferingHints.intervalInSeconds,
                    maximumInFlight: target.maximumInFlight,
                    maximumBytes: target.maximumBufferBytes
                )
            case .transform(let stage): stage.bounds
            }
        }
    }

    /// Where buffers go, and how their objects are named.
    struct Target: Sendable {
        /// Where objects go; where there are `records`, those of failed ones.
        var destination: S3Destination
        /// Where records go one by one.
        var records: DestinationConfiguration?
        var bufferingHints: BufferingHints
        /// What buffers may grow to while delivery is behind.
        var maximumBufferBytes: UInt64
        var template: KeyTemplate
        /// For outcomes alone.
        var failureTemplates: [ErrorOutputType: KeyTemplate] = [:]
        var recordDelimiter: String?
        var maximumInFlight: Int
        /// What objects are loaded into, and where the lists of them are.
        var copy: Copy?

        struct Copy: Sendable {
            var destination: DestinationConfiguration
            var manifests: KeyTemplate
            var errorManifests: KeyTemplate

            init(_ destination: DestinationConfiguration, prefix: String) throws(FirehoseError) {
                self.destination = destination
                manifests = try KeyTemplate(prefix + CopyPlan.manifests, as: .prefix)
                errorManifests = try KeyTemplate(prefix + CopyPlan.errorManifests, as: .prefix)
            }
        }

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
            let failedType = records.flatMap { ErrorOutputType(of: $0.kind) }
            var main = plan(template, failedType)
            main.recordDelimiter = failedType == nil ? recordDelimiter : "\n"
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

extension StreamPipeline.Settings {
    /// What a stream's configuration means for one of its pipelines.
    static func of(
        _ role: StreamPipeline.Role,
        _ stream: DeliveryStream,
        _ stage: TransformStage?
    ) throws -> Self {
        var settings = Self.parked(stream)
        guard StreamRules.canBeProcessed(stream),
            StreamRules.undeliverableMembers(of: stream.destination).isEmpty,
            let destination = role == .backup
                ? try StreamRules.backupDestination(of: stream) : try stream.destination.objects
        else { return settings }
        let hints =
            role == .backup
            ? destination.bufferingHints : try stream.destination.bufferingHints
        let type = DestinationType.of(stream.destination.kind)
        let failedType = role == .backup ? nil : type.errorOutputType
        if role == .source, let stage {
            stage.setDestinationBuffer(bytes: hints.sizeInBytes)
            settings.route = .transform(stage)
            return settings
        }
        var target = StreamPipeline.Target(
            destination: destination,
            records: failedType == nil ? nil : stream.destination,
            bufferingHints: hints,
            maximumBufferBytes: role == .backup
                ? DestinationKind.extendedS3.maximumBufferBytes
                : stream.destination.kind.maximumBufferBytes,
            template: try failedType?.template(for: destination)
                ?? KeyTemplate(destination.prefix ?? "", as: .prefix),
            maximumInFlight: role == .backup
                ? Limits.maximumBuffersInFlight : type.maximumBuffersInFlight
        )
        if role == .outcome {
            for type in ErrorOutputType.ofProcessing {
                target.failureTemplates[type] = try type.template(for: destination)
            }
        }
        if role != .backup, try StreamRules.processing(of: stream)?.appendsDelimiter == true {
            target.recordDelimiter = "\n"
        }
        if role != .backup, case .warehouse = type.delivery {
            target.copy = try .init(stream.destination, prefix: destination.prefix ?? "")
        }
        settings.route = .deliver(target)
        return settings
    }
}
