internal import Delivery
internal import Destinations
internal import Records
internal import Transforms

extension PipelineSettings {
    /// What a stream's configuration means for one of its pipelines; `stage` is what its records go
    /// through before they are delivered.
    static func of(
        _ role: PipelineRole,
        _ stream: DeliveryStream,
        _ stage: TransformStage?
    ) throws -> PipelineSettings {
        guard StreamRules.canBeProcessed(stream),
            StreamRules.undeliverableMembers(of: stream.destination).isEmpty,
            let destination = role == .backup
                ? try StreamRules.backupDestination(of: stream) : try stream.destination.objects
        else { return .parked }
        if role == .source, let stage {
            stage.setDestinationBuffer(bytes: try stream.destination.bufferingHints.sizeInBytes)
            return PipelineSettings(processor: stage)
        }
        if role == .backup {
            let target = try target(destination, of: stream, destination.bufferingHints, nil)
            return PipelineSettings(processor: ObjectProcessor(target), bucket: destination.bucket)
        }
        return try delivery(role, stream, to: destination)
    }

    private static func delivery(
        _ role: PipelineRole,
        _ stream: DeliveryStream,
        to objects: S3Destination
    ) throws -> PipelineSettings {
        let destination = stream.destination
        let type = DestinationType.of(destination.kind)
        let failedType = type.errorOutputType
        var target = try target(objects, of: stream, destination.bufferingHints, type)
        if let failedType { target.template = try failedType.template(for: objects) }
        if role == .outcome {
            for type in ErrorOutputType.ofProcessing {
                target.failureTemplates[type] = try type.template(for: objects)
            }
        }
        if try StreamRules.processing(of: stream)?.appendsDelimiter == true {
            target.recordDelimiter = "\n"
        }
        let processor: any BufferProcessor =
            switch type.delivery {
            case .objects: ObjectProcessor(target)
            case .records: RecordProcessor(target, destination)
            case .warehouse: try WarehouseProcessor(target, destination)
            }
        return PipelineSettings(
            processor: processor,
            bucket: objects.bucket,
            failureTypes: [failedType].compactMap(\.self) + target.failureTemplates.keys,
            destination: destination
        )
    }

    /// Where objects go; `type` is nil for a backup.
    private static func target(
        _ objects: S3Destination,
        of stream: DeliveryStream,
        _ hints: BufferingHints,
        _ type: DestinationType?
    ) throws -> DeliveryTarget {
        DeliveryTarget(
            version: stream.version,
            destination: objects,
            bounds: BufferBounds(
                bytes: hints.sizeInBytes,
                intervalSeconds: hints.intervalInSeconds,
                maximumInFlight: type?.maximumBuffersInFlight ?? Limits.maximumBuffersInFlight,
                maximumBytes: (type?.kind ?? .extendedS3).maximumBufferBytes
            ),
            template: try KeyTemplate(objects.prefix ?? "", as: .prefix)
        )
    }
}
