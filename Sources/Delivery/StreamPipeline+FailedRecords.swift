internal import Destinations
internal import Logging
internal import Platform
internal import Records

/// Where failed records go.
extension StreamPipeline {
    /// Puts failed records into their bucket, however long that takes.
    func keep(_ part: Spooler.Part, hasGivenUp: Bool) async throws {
        var delays = shared.options.retryDelays
        var generator = SystemRandomNumberGenerator()
        var attempts = 0
        while true {
            attempts += 1
            switch try await shared.options.store.put(part.object, as: part.plan) {
            case .delivered:
                outage.bucketAnswered(part.plan.bucket, logger)
                if let type = part.failure { metrics.failed(type, records: part.records) }
                return logger.info(
                    "failed records are kept",
                    metadata: facts(part, ["attempts": "\(attempts)"])
                )
            case .failed(let failure):
                if hasGivenUp { outage.destinationFailed(logger) }
                outage.bucketFailed(part.plan.bucket, logger)
                metrics.retries()
                logger.warning(
                    "delivery failed, another try follows",
                    metadata: facts(part, ["attempts": "\(attempts)", "error": "\(failure)"])
                )
            }
            let delay = delays.next(using: &generator)
            try await shared.options.time.sleep(until: shared.options.time.now() + delay)
        }
    }

    /// Keeps what the destination refused for good on this server's disk.
    func keepAside(_ part: Spooler.Part) async throws {
        let (path, total) = try await trying("refused records cannot be set aside") { [self] in
            try await shared.spoolThreads.run { [setAside] _ in
                try setAside.keep(part.object, as: part.plan, records: part.records)
            }
        }
        metrics.setAside(records: part.records)
        logger.error(
            "set aside: the destination refused them for good",
            metadata: facts(part, ["path": "\(path)", "records_set_aside": "\(total)"])
        )
    }
}
