internal import Delivery
internal import DeliveryStreams
internal import FirehoseAPI
internal import Foundation
internal import HTTPServer
internal import Logging
internal import Observability
internal import Platform
internal import Records
internal import ServiceLifecycle
internal import UnixSignals

/// Builds log, delivery and server, in that order, and stops them in reverse.
struct Assembly {
    private let group: ServiceGroup
    private let engine: Engine
    private let declared: DeclaredStreams
    private let declaredPath: String?

    init(_ context: ServerContext) throws {
        Self.prepareProcess()
        Self.warn(context.descriptors, context.logger)
        let settings = context.settings
        let storage = try Storage(context)
        let clients = OutgoingClients(context.descriptors)
        let access = try Access(context)
        let delivery = try DeliveryParts(context, storage, clients)
        let health = HealthPages(
            folder: storage.folder,
            registry: delivery.registry,
            descriptors: context.descriptors,
            freshnessBound: .seconds(settings.records.freshnessBound),
            time: context.time
        )
        let server = Self.server(context, access, delivery.registry, health)
        access.warn(host: settings.listening.host, context.logger)
        declaredPath = settings.streams.streams
        declared = DeclaredStreams(
            registry: delivery.registry,
            time: context.time,
            isStrict: settings.streams.strictAws,
            logger: context.logger
        )
        engine = Engine(
            logs: storage.logs,
            registry: delivery.registry,
            transforms: delivery.transforms,
            clients: clients.all,
            folder: storage.folder,
            time: storage.time,
            logger: context.logger
        )
        group = Self.group(
            // They stop in reverse.
            [
                .init(service: Repeats(logs: context.logs)),
                .init(service: engine),
                .init(service: LogTidier(logs: storage.logs)),
                .init(service: ClockKeeper(time: storage.time, logger: context.logger)),
                .init(service: access.reloader(context.logger)),
                .init(service: server, failureTerminationBehavior: .gracefullyShutdownGroup),
                .init(service: Farewell(health: health)),
            ],
            context.logger
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

    // MARK: Steps

    private static func prepareProcess() {
        // A peer that goes away is an error of the write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        // Until somebody listens to it, it would be the end.
        signal(SIGHUP, SIG_IGN)
    }

    /// Says what a low limit on open files means.
    private static func warn(_ plan: DescriptorPlan, _ logger: Logger) {
        guard !plan.isAmple else { return }
        logger.warning(
            "the limit on open files is low and bounds connections and transforms: raise it (ulimit -n, LimitNOFILE)",
            metadata: [
                "limit": "\(plan.limit)", "needed": "\(DescriptorPlan.ample)",
                "client_connections": "\(plan.connections)",
                "endpoint_connections": "\(plan.endpointConnections)",
                "transform_processes": "\(plan.transformProcesses)",
            ]
        )
    }

    private static func server(
        _ context: ServerContext,
        _ access: Access,
        _ registry: StreamRegistry,
        _ health: HealthPages
    ) -> HTTPServer {
        let firehose = FirehoseService(
            .init(appender: registry, registry: registry, streamOperator: registry),
            isStrict: context.settings.streams.strictAws,
            metrics: FirehoseMetrics(context.metrics),
            time: context.time,
            logger: context.logs[.ingest]
        )
        var configuration = HTTPServerConfiguration(
            host: context.settings.listening.host,
            port: context.settings.listening.port,
            metrics: HTTPServerMetrics(context.metrics),
            time: context.time,
            logger: context.logs[.ingest]
        )
        configuration.limits.maximumConnections = context.descriptors.connections
        configuration.access = access.control
        configuration.transportSecurity = access.transportSecurity
        let scheme = access.transportSecurity == nil ? "http" : "https"
        return HTTPServer(
            configuration,
            services: [firehose],
            pages: health.pages.merging(["/metrics": metricsPage(context, registry)]) { $1 }
        ) { host, port in
            let address = host.contains(":") ? "[\(host)]" : host
            print("hydrant is listening on \(scheme)://\(address):\(port)")
            fflush(nil)
            ServiceManager.notify(.ready)
        }
    }

    private static func metricsPage(
        _ context: ServerContext,
        _ registry: StreamRegistry
    ) -> StatusPage {
        // With thousands of streams it takes a while: nobody else waits for that.
        let page = SharedWork(on: WorkerThreads(count: 1)) { [metrics = context.metrics] in
            registry.updateMetrics()
            context.serverMetrics.update()
            return StatusPage.Content(metrics.text())
        }
        return StatusPage(contentType: PrometheusRegistry.contentType) { await page.value() }
    }

    private static func group(
        _ services: [ServiceGroupConfiguration.ServiceConfiguration],
        _ logger: Logger
    ) -> ServiceGroup {
        // Its debug messages are about the program's insides.
        var lifecycleLogger = logger
        lifecycleLogger.logLevel = max(logger.logLevel, .info)
        return ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: services,
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: lifecycleLogger
            )
        )
    }
}

/// Settings that do not go together, and what to do.
struct SettingsError: SettingMistake, CustomStringConvertible {
    var description: String
}
