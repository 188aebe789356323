internal import Delivery
internal import Logging
internal import Platform
internal import Records
internal import Synchronization

/// Streams that were stopped to be deleted, and could not be.
extension StreamRegistry {
    private static let failed: Logger.Message =
        "a stream whose deletion failed cannot be started again; retrying"

    /// Starts a stream again: now, or where that fails, as soon as it works, until the server stops.
    ///
    /// Until then it stays in deletion, and its records stay on disk.
    func bringBack(_ document: StreamDocument) async {
        do {
            try await startAgain(document)
        } catch {
            logger.error(
                Self.failed,
                metadata: ["stream": "\(document.stream.name)", "error": "\(error)"]
            )
            returns.withLock { returns in
                returns[document.stream.name] = Task { [self] in await keepStarting(document) }
            }
        }
    }

    private func keepStarting(_ document: StreamDocument) async {
        var logger = logger
        logger[metadataKey: "stream"] = "\(document.stream.name)"
        var retrier = Retrier(environment.delivery.options.retryDelays, environment.time)
        do {
            // The first attempt was just now.
            try await environment.time.sleep(for: Self.firstWait)
            try await retrier.untilDone(Self.failed, logger) { try await startAgain(document) }
            logger.info("a stream whose deletion failed is started again")
        } catch {
            // Cancelled: the next start of the server finds it.
            logger.debug(
                "starting the stream again is interrupted",
                metadata: ["error": "\(error)"]
            )
        }
        returns.withLock { $0[document.stream.name] = nil }
    }

    private static let firstWait: Duration = .seconds(2)

    private func startAgain(_ document: StreamDocument) async throws {
        let active = try await environment.delivery.diskThreads.run { [self] _ in
            try start(document)
        }
        entries.withLock { $0[document.stream.name] = .active(active) }
    }

    /// Ends all attempts, before the streams that there are stop.
    func endReturns() async {
        let tasks = returns.withLock { Array($0.values) }
        for task in tasks {
            task.cancel()
            await task.value
        }
    }
}
