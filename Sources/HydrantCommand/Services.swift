internal import DeliveryStreams
internal import DurableLog
internal import Egress
internal import Logging
internal import Platform
internal import ServiceLifecycle
internal import Transforms

/// Tells what the log left out as repeats.
struct Repeats: Service {
    let logs: ServerLogs

    func run() async { await cancelWhenGracefulShutdown { await logs.tellRepeats() } }
}

/// The first to stop: says so to whoever asks.
struct Farewell: Service {
    let health: HealthPages

    func run() async throws {
        try? await gracefulShutdown()  // cancelled, it stops as well
        health.stop()
        ServiceManager.notify(.stopping)
    }
}

/// Has logs give back what they do not use.
struct LogTidier: Service {
    let logs: LogStore

    func run() async { await cancelWhenGracefulShutdown { await logs.keepTidy() } }
}

/// Writes down now and then what durations are counted by.
struct ClockKeeper: Service {
    let time: SteadyTime
    let logger: Logger

    func run() async {
        let threads = WorkerThreads(count: 1)
        defer { threads.close() }
        await cancelWhenGracefulShutdown { await time.keep(on: threads, logger) }
    }
}

/// Log and delivery as a service: they work from their creation on, and stop when all before them in
/// the reverse order has stopped.
struct Engine: Service {
    let logs: LogStore
    let registry: StreamRegistry
    let transforms: TransformHost
    let clients: [HTTPClient]
    let folder: DataFolder
    let time: SteadyTime
    let logger: Logger

    func run() async throws {
        let (orders, order) = AsyncStream.makeStream(of: Void.self)
        await withTaskCancellationOrGracefulShutdownHandler {
            for await _ in orders {}
        } onCancelOrGracefulShutdown: {
            order.finish()
        }
        await stop()
    }

    func stop() async {
        await registry.shutDown()
        await transforms.shutDown()
        for client in clients { client.shutDown() }
        logs.shutDown()
        do {
            // Another folder has a clock of its own.
            if folder.isInPlace { try time.note() }
        } catch {
            logger.warning(
                "the clock file cannot be written: over the restart, retries may last longer",
                metadata: ["error": "\(error)"]
            )
        }
        folder.release()
        logger.info("stopped", metadata: ["data_folder": "\(folder.path)"])
    }
}
