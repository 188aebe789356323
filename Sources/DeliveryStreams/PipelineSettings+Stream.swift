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
                ? StreamRules.backupDestination(of: stream) : stream.destination.objects
        else { return .parked }
        if role == .source, let stage {
            stage.setDestinationBuffer(bytes: stream.destination.bufferingHints.sizeInBytes)
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
        let failedType = ErrorOutputType(of: destination.kind)
        var target = try target(objects, of: stream, destination.bufferingHints, destination.kind)
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
            if failedType != nil {
                RecordProcessor(target, destination)
            } else if destination.kind == .redshift {
                try WarehouseProcessor(target, destination)
            } else {
                ObjectProcessor(target)
            }
        return PipelineSettings(
            processor: processor,
            bucket: objects.bucket,
            failureTypes: [failedType].compactMap(\.self) + target.failureTemplates.keys,
            destination: destination
        )
    }

    /// Where objects go; `kind` is nil for a backup.
    private static func target(
        _ objects: S3Destination,
        of stream: DeliveryStream,
        _ hints: BufferingHints,
        _ kind: DestinationKind?
    ) throws -> DeliveryTarget {
        let isUnconfirmed = kind == .splunk || kind == .redshift
        return DeliveryTarget(
            version: stream.version,
            destination: objects,
            bounds: BufferBounds(
                bytes: hints.sizeInBytes,
                intervalSeconds: hints.intervalInSeconds,
                maximumInFlight: isUnconfirmed
                    ? Limits.maximumUnconfirmedBuffers : Limits.maximumBuffersInFlight,
                maximumBytes: (kind ?? .extendedS3).maximumBufferBytes
            ),
            template: try KeyTemplate(objects.prefix ?? "", as: .prefix)
        )
    }
}
