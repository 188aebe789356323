package import Destinations
package import Encryption
package import Metrics
package import Records
package import TransformHost

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
    /// Encrypted buffers of one stream on their way at one time.
    package var maximumBuffersInFlight: Int
    /// The keys that copies of encrypted records are encrypted with.
    package var masterKeys: MasterKeys?
    /// Runs the programs of streams that are transformed; none are accepted without it.
    package var transforms: TransformHost?
    /// Batches that are being transformed at one time, all streams together.
    package var maximumTransformBatches: Int
    /// Makes destinations that take records; without it, streams have those that take objects alone.
    package var recordDestinations: RecordDestinations?
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
        maximumBuffersInFlight: Int = Limits.maximumBuffersInFlight,
        masterKeys: MasterKeys? = nil,
        transforms: TransformHost? = nil,
        maximumTransformBatches: Int = Limits.defaultMaximumTransformBatches,
        recordDestinations: RecordDestinations? = nil,
        copies: CopyService? = nil,
        metrics: any MetricsFactory = MetricsSystem.factory,
        time: any TimeSource = SystemTime()
    ) {
        self.store = store
        self.retryDuration = retryDuration
        self.compressionLevel = compressionLevel
        self.retryDelays = retryDelays
        self.maximumBuffersInFlight = maximumBuffersInFlight
        self.masterKeys = masterKeys
        self.transforms = transforms
        self.maximumTransformBatches = maximumTransformBatches
        self.recordDestinations = recordDestinations
        self.copies = copies
        self.metrics = metrics
        self.time = time
    }
}
