internal import Delivery
internal import DeliveryStreams
internal import Destinations
internal import DurableLog
internal import Egress
internal import FirehoseAPI
internal import Foundation
internal import HTTPServer
internal import Logging
internal import Observability
internal import Platform
internal import Records
internal import ServiceLifecycle
internal import SigV4
internal import Transforms
internal import UnixSignals

/// Builds log, delivery and server, in that order, and stops them in reverse.
struct Assembly {
    private let group: ServiceGroup
    private let engine: Engine
    private let declared: DeclaredStreams
    private let declaredPath: String?

    init(settings: Serve, logs serverLogs: ServerLogs, metrics: PrometheusRegistry) throws {
        let logger = serverLogs[.server]
        let serverMetrics = ServerMetrics(metrics, maximumLogBytes: settings.maxLogBytes)
        // A peer that goes away is an error of the write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        // Until somebody listens to it, it would be the end.
        signal(SIGHUP, SIG_IGN)
        Self.raiseFileLimit()
        let time = SystemTime()
        let folder = try DataFolder(Place.absolute(settings.dataDir))
        if settings.durability == .os {
            logger.warning(
                """
                durability is os: puts are answered before they are on disk, and a power cut can \
                lose them
                """
            )
        }
        let masterKeys = try settings.encryption.load()
        guard masterKeys != nil || !settings.encryptAtRest else {
            throw SettingsError(
                description: "--encrypt-at-rest needs a master key: give one with --master-key "
                    + "FILE or HYDRANT_MASTER_KEY"
            )
        }
        let logs = try LogStore(
            spareFolder: folder.spareSegments,
            options: LogOptions(
                durability: settings.durability,
                maximumLogBytes: settings.maxLogBytes,
                masterKeys: masterKeys,
                encryptsAll: settings.encryptAtRest,
                onSync: { serverMetrics.synced($0) },
                time: time
            ),
            logger: serverLogs[.log]
        )
        let client = HTTPClient()
        // Of its own, so that endpoints that hang take nothing from buckets or from each other.
        let endpointClient = HTTPClient(maximumConnections: 4096)
        let identity = ServiceIdentity(region: settings.region, account: settings.accountID)
        let isStrict = settings.streams.strictAws
        let access = try settings.access.makeAccessControl(identity, isStrict: isStrict, time)
        let transportSecurity = try settings.access.makeTransportSecurity()
        let transforms = TransformHost(
            folder: Place.absolute(settings.streams.transforms),
            identity: identity,
            time: time,
            logger: serverLogs[.transforms]
        )
        let registry = try StreamRegistry(
            folder: folder,
            logs: logs,
            options: DeliveryOptions(
                store: try settings.buckets.store(
                    dataDir: folder.path,
                    client,
                    time,
                    logger
                ),
                retryDuration: .seconds(settings.s3RetryDuration),
                compressionLevel: settings.compressionLevel,
                masterKeys: masterKeys,
                recordDestinations: RecordDestinations(
                    client: endpointClient,
                    settings: try settings.endpointSettings.map {
                        try EndpointSettings(path: Place.absolute($0))
                    } ?? EndpointSettings(),
                    credentials: BucketOptions.credentials,
                    identity: identity,
                    threads: WorkerThreads(count: 2),
                    time: time
                ),
                copies: try CopyService(
                    settings.warehouse.settings(),
                    client: endpointClient,
                    time: time
                ),
                metrics: metrics,
                time: time
            ),
            transforms: TransformEnvironment(
                host: transforms,
                maximumBatches: settings.streams.transformLimit
            ),
            identity: identity,
            policy: settings.streams.policy,
            logger: serverLogs[.delivery]
        )
        let health = HealthPages(
            folder: folder,
            registry: registry,
            freshnessBound: .seconds(settings.freshnessBound)
        )
        var pages = health.pages
        // With thousands of streams it takes a while: nobody else waits for that.
        let page = SharedWork(on: WorkerThreads(count: 1)) {
            registry.updateMetrics()
            serverMetrics.update()
            return StatusPage.Content(metrics.text())
        }
        pages["/metrics"] = StatusPage(contentType: PrometheusRegistry.contentType) {
            await page.value()
        }
        let firehose = FirehoseService(
            .init(appender: registry, registry: registry, streamOperator: registry),
            isStrict: isStrict,
            metrics: FirehoseMetrics(metrics),
            time: time,
            logger: serverLogs[.ingest]
        )
        var configuration = HTTPServerConfiguration(
            host: settings.host,
            port: settings.port,
            metrics: HTTPServerMetrics(metrics),
            time: time,
            logger: serverLogs[.ingest]
        )
        configuration.access = access
        configuration.transportSecurity = transportSecurity
        let server = HTTPServer(
            configuration,
            services: [firehose],
            pages: pages
        ) { host, port in
            let scheme = transportSecurity == nil ? "http" : "https"
            let address = host.contains(":") ? "[\(host)]" : host
            print("hydrant is listening on \(scheme)://\(address):\(port)")
            fflush(nil)
            ServiceManager.notify(.ready)
        }
        if !Loopback.contains(settings.host) {
            if access == nil { logger.warning("no authentication: everybody may do everything") }
            if transportSecurity == nil {
                logger.warning("no TLS: whoever is on the way reads the records that are put")
            }
        }
        declaredPath = settings.streams.streams
        declared = DeclaredStreams(
            registry: registry,
            time: time,
            isStrict: isStrict,
            logger: logger
        )
        engine = Engine(
            logs: logs,
            registry: registry,
            transforms: transforms,
            clients: [client, endpointClient],
            folder: folder,
            logger: logger
        )
        // Its debug messages are about the program's insides.
        var lifecycleLogger = logger
        lifecycleLogger.logLevel = max(logger.logLevel, .info)
        group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    .init(service: Repeats(logs: serverLogs)),
                    .init(service: engine),
                    .init(
                        service: Reloader(
                            access: access,
                            transportSecurity: transportSecurity,
                            logger: logger
                        )
                    ),
                    .init(service: server, failureTerminationBehavior: .gracefullyShutdownGroup),
                    .init(service: Farewell(health: health)),
                ],
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: lifecycleLogger
            )
        )
    }

    /// Brings the declared streams about, then serves until it is told to stop.
    func run() async throws {
        do {
            if let declaredPath { try await declared.apply(declaredPath) }
        } catch {
            await engine.stop()
            throw error
        }
        try await group.run()
    }

    /// Every stream and segment holds files open: as many as the system lets us.
    private static func raiseFileLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}

/// Settings that do not go together, and what to do.
struct SettingsError: SettingMistake, CustomStringConvertible {
    var description: String
}

/// Tells what the log left out as repeats.
private struct Repeats: Service {
    let logs: ServerLogs

    func run() async { await cancelWhenGracefulShutdown { await logs.tellRepeats() } }
}

/// The first to stop: says so to whoever asks.
private struct Farewell: Service {
    let health: HealthPages

    func run() async throws {
        try? await gracefulShutdown()  // cancelled, it stops as well
        health.stop()
        ServiceManager.notify(.stopping)
    }
}

/// Log and delivery as a service: they work from their creation on, and stop when all before them in
/// the reverse order has stopped.
private struct Engine: Service {
    let logs: LogStore
    let registry: StreamRegistry
    let transforms: TransformHost
    let clients: [HTTPClient]
    let folder: DataFolder
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
        folder.release()
        logger.info("stopped", metadata: ["data_folder": "\(folder.path)"])
    }
}
