internal import Delivery
internal import Logging
internal import Metrics
internal import Records
internal import Synchronization

/// Streams of which this server cannot open what it has: the others run.
extension StreamRegistry {
    /// A stream that takes no records and delivers none until the next start.
    struct Quarantine {
        var document: StreamDocument
        /// Tells monitoring, as long as it is there.
        let gauge: QuarantineGauge
    }

    /// Starts a stream that is stored, or puts it into quarantine.
    ///
    /// - Throws: Where a later version wrote it: that version has to be started, and nothing is wrong.
    func open(_ stored: StoredStream) throws -> Entry {
        let document = stored.document
        do {
            if let failure = stored.failure { return .quarantined(quarantine(document, failure)) }
            let active = try start(document)
            let pending = active.delivery.pendingRecords
            if pending > 0 {
                logger.info(
                    "records wait for their delivery since before this start",
                    metadata: ["stream": "\(document.stream.name)", "records": "\(pending)"]
                )
            }
            return .active(active)
        } catch {
            if let error = error as? any StoredFormatError, error.isOfLaterVersion { throw error }
            return .quarantined(quarantine(document, "\(error)"))
        }
    }

    func quarantine(_ document: StreamDocument, _ reason: String) -> Quarantine {
        let name = document.stream.name
        logger.error(
            "the stream is quarantined: it accepts and delivers no records; hydrant check says what can be done",
            metadata: ["stream": "\(name)", "error": "\(reason)"]
        )
        return Quarantine(
            document: document,
            gauge: QuarantineGauge(name, 1, environment.delivery.options.metrics)
        )
    }

    /// The reason in DescribeDeliveryStream, without paths and file contents: those are for operators.
    static let quarantineReason =
        "The stream's files cannot be opened. The server's log says why, and hydrant check what can "
        + "be done."

    /// The answer to puts: retryable, so that producers keep their records.
    func quarantineError(_ name: String) -> FirehoseError {
        FirehoseError(
            .serviceUnavailable,
            "Firehose \(name) is in quarantine: its files cannot be opened. DescribeDeliveryStream "
                + "says more."
        )
    }

    /// The names of all that are in quarantine, in order.
    package var quarantined: [String] {
        entries.withLock { entries in
            entries.compactMap { name, entry in
                if case .quarantined = entry { name } else { nil }
            }
        }.sorted()
    }
}

/// 1 for a stream that is in quarantine, 0 for one that is not.
final class QuarantineGauge: Sendable {
    private let gauge: Gauge

    init(_ stream: String, _ value: Int, _ factory: any MetricsFactory) {
        gauge = Gauge(
            label: "hydrant_stream_quarantined",
            dimensions: [("stream", stream)],
            factory: factory
        )
        gauge.record(value)
    }

    deinit { gauge.destroy() }
}
