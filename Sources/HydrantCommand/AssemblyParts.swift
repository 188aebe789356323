internal import Delivery
internal import DeliveryStreams
internal import Destinations
internal import DurableLog
internal import Egress
internal import Encryption
internal import HTTPServer
internal import Logging
internal import Observability
internal import Platform
internal import Records
internal import Transforms

/// What every part of a server is built with.
struct ServerContext: Sendable {
    let settings: Serve
    let logs: ServerLogs
    let metrics: PrometheusRegistry
    let serverMetrics: ServerMetrics
    let descriptors: DescriptorPlan
    let time: any TimeSource
    let logger: Logger

    init(
        _ settings: Serve,
        _ logs: ServerLogs,
        _ metrics: PrometheusRegistry,
        _ time: any TimeSource
    ) throws {
        descriptors = try DescriptorPlan.ofThisProcess()
        self.time = time
        self.settings = settings
        self.logs = logs
        self.metrics = metrics
        serverMetrics = ServerMetrics(
            metrics,
            maximumLogBytes: settings.records.maxLogBytes,
            startedAt: time.now()
        )
        logger = logs[.server]
    }
}

/// The data folder and the logs in it.
struct Storage {
    let folder: DataFolder
    /// Whatever must not be given up early because somebody set the clock goes by it.
    let time: SteadyTime
    let masterKeys: MasterKeys?
    let logs: LogStore

    init(_ context: ServerContext) throws {
        let settings = context.settings
        folder = try DataFolder(Place.absolute(settings.dataDir))
        time = SteadyTime(folder: folder.path, context.logger)
        if settings.records.durability == .os {
            context.logger.warning(
                """
                durability is os: puts are answered before they are on disk, and a power cut can \
                lose them
                """
            )
        }
        masterKeys = try settings.encryption.load()
        guard masterKeys != nil || !settings.encryptAtRest else {
            throw SettingsError(
                description: "--encrypt-at-rest needs a master key: give one with --master-key "
                    + "FILE or HYDRANT_MASTER_KEY"
            )
        }
        let segmentBytes = UInt64(settings.records.logSegmentKilobytes) * 1024
        logs = try LogStore(
            spareFolder: folder.spareSegments,
            options: LogOptions(
                durability: settings.records.durability,
                firstSegmentBytes: min(Limits.firstSegmentBytes, segmentBytes / 4),
                segmentBytes: segmentBytes,
                maximumLogBytes: settings.records.maxLogBytes,
                isInPlace: { [folder] in folder.isInPlace },
                masterKeys: masterKeys,
                encryptsAll: settings.encryptAtRest,
                onSync: { [metrics = context.serverMetrics] in metrics.synced($0) },
                time: time
            ),
            maximumOpenSegments: context.descriptors.openSegments,
            logger: context.logs[.log]
        )
    }
}

/// Connections to others.
struct OutgoingClients {
    let buckets: HTTPClient
    /// Of its own, so that endpoints that hang take nothing from buckets or from each other.
    let endpoints: HTTPClient

    init(_ plan: DescriptorPlan) {
        buckets = HTTPClient(
            maximumConnections: plan.bucketConnections,
            maximumPerHost: plan.bucketConnections
        )
        endpoints = HTTPClient(maximumConnections: plan.endpointConnections)
    }

    var all: [HTTPClient] { [buckets, endpoints] }
}

/// Who gets in, and how.
struct Access {
    let control: AccessControl?
    let transportSecurity: TransportSecurity?

    init(_ context: ServerContext) throws {
        let settings = context.settings
        control = try settings.access.makeAccessControl(
            settings.identity.service,
            isStrict: settings.streams.strictAws,
            context.time
        )
        transportSecurity = try settings.access.makeTransportSecurity()
    }

    /// Says what the network can do.
    func warn(host: String, _ logger: Logger) {
        guard !Loopback.contains(host) else { return }
        if control == nil { logger.warning("no authentication: everybody may do everything") }
        if transportSecurity == nil {
            logger.warning("no TLS: whoever is on the way reads the records that are put")
        }
    }

    func reloader(_ logger: Logger) -> Reloader {
        Reloader(access: control, transportSecurity: transportSecurity, logger: logger)
    }
}

/// The streams, and the programs that transform their records.
struct DeliveryParts {
    let transforms: TransformHost
    let registry: StreamRegistry

    init(_ context: ServerContext, _ storage: Storage, _ clients: OutgoingClients) throws {
        let settings = context.settings
        var policy = settings.streams.policy
        policy.shortage = { [plan = context.descriptors] in plan.shortage }
        transforms = TransformHost(
            folder: Place.absolute(settings.streams.transforms),
            identity: settings.identity.service,
            maximumProcesses: context.descriptors.transformProcesses,
            time: storage.time,
            logger: context.logs[.transforms]
        )
        registry = try StreamRegistry(
            folder: storage.folder,
            logs: storage.logs,
            options: Self.options(context, storage, clients),
            transforms: TransformEnvironment(
                host: transforms,
                maximumBatches: settings.streams.transformLimit
            ),
            identity: settings.identity.service,
            policy: policy,
            logger: context.logs[.delivery]
        )
    }

    private static func options(
        _ context: ServerContext,
        _ storage: Storage,
        _ clients: OutgoingClients
    ) throws -> DeliveryOptions {
        let settings = context.settings
        return DeliveryOptions(
            store: try settings.buckets.store(
                dataDir: storage.folder.path,
                clients.buckets,
                storage.time,
                context.logger
            ),
            retryDuration: .seconds(settings.records.s3RetryDuration),
            compressionLevel: settings.records.compressionLevel,
            masterKeys: storage.masterKeys,
            recordDestinations: try recordDestinations(context, storage, clients.endpoints),
            copies: try CopyService(
                settings.warehouse.settings(),
                client: clients.endpoints,
                time: storage.time
            ),
            metrics: context.metrics,
            time: storage.time
        )
    }

    private static func recordDestinations(
        _ context: ServerContext,
        _ storage: Storage,
        _ client: HTTPClient
    ) throws -> RecordDestinations {
        RecordDestinations(
            client: client,
            settings: try context.settings.records.endpointSettings.map {
                try EndpointSettings(path: Place.absolute($0))
            } ?? EndpointSettings(),
            credentials: BucketOptions.credentials,
            identity: context.settings.identity.service,
            threads: WorkerThreads(count: 2),
            time: storage.time
        )
    }
}
