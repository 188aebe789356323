package import Destinations
package import Encryption
package import Logging
package import Metrics
package import Platform
package import Records

/// How delivery works, for all streams of a server.
package struct DeliveryOptions: Sendable {
    /// Where objects go.
    package var store: any ObjectStore
    /// How long after the first attempt an object is set aside.
    package var retryDuration: Duration
    /// For GZIP and ZIP: 1 (fast) to 9 (small).
    package var compressionLevel: Int
    /// Waits between attempts.
    package var retryDelays: RetryDelays
    /// The keys that copies of encrypted records are encrypted with.
    package var masterKeys: MasterKeys?
    /// Makes destinations that take records; without it, streams have those that take objects alone.
    package var recordDestinations: (any RecordDestinationFactory)?
    /// Loads warehouses; without it, objects and manifests are written alone.
    package var copies: CopyService?
    /// Where numbers for an operator go.
    package var metrics: any MetricsFactory
    /// The clock.
    package var time: any TimeSource

    /// Options.
    package init(
        store: any ObjectStore,
        retryDuration: Duration = .seconds(Limits.defaultS3RetrySeconds),
        compressionLevel: Int = 1,
        retryDelays: RetryDelays = RetryDelays(),
        masterKeys: MasterKeys? = nil,
        recordDestinations: (any RecordDestinationFactory)? = nil,
        copies: CopyService? = nil,
        metrics: any MetricsFactory = MetricsSystem.factory,
        time: any TimeSource = SystemTime()
    ) {
        self.store = store
        self.retryDuration = retryDuration
        self.compressionLevel = compressionLevel
        self.retryDelays = retryDelays
        self.masterKeys = masterKeys
        self.recordDestinations = recordDestinations
        self.copies = copies
        self.metrics = metrics
        self.time = time
    }
}

/// What all pipelines of a server have in common: its bounds, its threads, its folders.
package final class DeliveryEnvironment: Sendable {
    /// How delivery works.
    package let options: DeliveryOptions
    /// Who the server is.
    package let identity: ServiceIdentity
    /// For lines about what goes on.
    package let logger: Logger
    /// For reading and compressing whole buffers.
    package let spoolThreads = WorkerThreads(count: 2)
    /// For everything else that touches the disk, and is over soon.
    package let diskThreads = WorkerThreads(count: 2)
    let spooler: Spooler
    let setAsideFolder: String
    /// Bounds the spool files of all streams.
    let spoolPlaces = Semaphore(Limits.maximumSpoolFiles)
    /// Bounds the KiB of requests that are in memory, all streams together.
    let requestMemory = Semaphore(Limits.maximumRequestKibibytesInMemory)
    /// The same for streams whose last request brought nothing.
    let troubledRequestMemory = Semaphore(Limits.maximumTroubledRequestKibibytesInMemory)
    let copyGates = CopyGates()

    /// Delivery that spools into one folder, and sets aside in another.
    package init(
        options: DeliveryOptions,
        identity: ServiceIdentity,
        spoolFolder: String,
        setAsideFolder: String,
        logger: Logger
    ) {
        self.options = options
        self.identity = identity
        self.logger = logger
        self.setAsideFolder = setAsideFolder
        spooler = Spooler(
            folder: spoolFolder,
            compressionLevel: options.compressionLevel,
            masterKeys: options.masterKeys
        )
    }

    /// Waits for what is under way on the threads, and ends them.
    package func close() {
        spoolThreads.close()
        diskThreads.close()
    }

    /// Makes attempts where nothing helps but another try: for want of disk, of a key or the like.
    package var troubleRetrier: Retrier {
        Retrier(RetryDelays(base: .seconds(5), cap: .seconds(60)), options.time)
    }
}
