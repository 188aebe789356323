package import Records
internal import Synchronization

extension StreamPipeline {
    /// Since when the oldest record waits that the pipeline has to deliver and is not done with, steady.
    package var oldestPending: Timestamp? {
        guard !isParked, !hasPassed(context.log.tail) else { return nil }
        return machine.withLock { $0.oldestUnsettled }
    }

    /// Seconds that a buffer waits at the most.
    package var intervalSeconds: Int {
        settings.withLock { $0.processor.isParked ? 0 : $0.processor.bounds.intervalSeconds }
    }

    /// Tells how things are now.
    package func updateMetrics() {
        let checkpoint = context.log.checkpoint(of: context.role.reader)
        let tail = context.log.tail
        let (inFlight, oldest, start, bounds) = machine.withLock {
            ($0.unsettled, $0.oldestUnsettled, $0.start, $0.bounds)
        }
        let waiting = max(tail.bytes, start.bytes) - start.bytes
        // Counters may jump over damage.
        context.metrics.update(
            PipelineMetrics.State(
                bytes: max(tail.bytes, checkpoint.bytes) - checkpoint.bytes,
                records: records(from: checkpoint, to: tail),
                inFlight: inFlight,
                oldest: tail.position > checkpoint.position ? oldest : nil,
                waiting: waiting,
                bufferBytes: bounds.bytes(waiting: waiting)
            ),
            now: context.time.steady()
        )
    }
}
