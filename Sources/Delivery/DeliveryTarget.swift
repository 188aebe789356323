package import Destinations
package import Records

/// Where a stream's buffers go, as it is configured now, and how their objects are named.
package struct DeliveryTarget: Sendable {
    /// The version of the stream's configuration.
    package var version: Int
    /// Where objects go; where records go one by one, those of failed ones.
    package var destination: S3Destination
    /// What makes a buffer.
    package var bounds: BufferBounds
    /// The prefix of objects.
    package var template: KeyTemplate
    /// Those of records that failed before they came to be delivered: for outcomes alone.
    package var failureTemplates: [ErrorOutputType: KeyTemplate] = [:]
    /// What stands between records.
    package var recordDelimiter: String?

    /// A target.
    package init(
        version: Int,
        destination: S3Destination,
        bounds: BufferBounds,
        template: KeyTemplate
    ) {
        self.version = version
        self.destination = destination
        self.bounds = bounds
        self.template = template
    }

    /// The plans of one buffer's objects; `failedType` is what its records are delivered as that their
    /// destination does not take, or nil for a buffer that becomes an object.
    func plans(
        stream: String,
        _ cut: BufferCut,
        failedType: ErrorOutputType?
    ) -> (main: ObjectPlan, failures: [String: ObjectPlan]?) {
        var generator = SystemRandomNumberGenerator()
        func plan(_ template: KeyTemplate, _ type: ErrorOutputType?) -> ObjectPlan {
            ObjectPlan(
                stream: stream,
                version: version,
                sequence: cut.sequence,
                arrival: cut.arrival,
                order: cut.order,
                destination: destination,
                template: template,
                errorOutputType: type,
                generator: &generator
            )
        }
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

/// What a stream's configuration means for one of its pipelines.
package struct PipelineSettings: Sendable {
    /// What becomes of records that are in no buffer yet.
    package var processor: any BufferProcessor
    /// The bucket of objects, or of failed records; nil where nothing is stored from here.
    package var bucket: String?
    /// What failed records may be delivered as from here.
    package var failureTypes: [ErrorOutputType]
    /// The stream's destination, with who we are there now.
    package var destination: DestinationConfiguration?

    /// Settings; by default nothing is stored from here.
    package init(
        processor: any BufferProcessor,
        bucket: String? = nil,
        failureTypes: [ErrorOutputType] = [],
        destination: DestinationConfiguration? = nil
    ) {
        self.processor = processor
        self.bucket = bucket
        self.failureTypes = failureTypes
        self.destination = destination
    }

    /// What keeps a stream's records where they are.
    package static let parked = PipelineSettings(processor: ParkProcessor())
}
