/// Every limit by name, its unit last, with the source of the number.
package enum Limits {
    /// Records in one PutRecordBatch (API model: `PutRecordBatchRequestEntryList`, max 500).
    package static let maximumBatchRecords = 500
    /// Raw bytes of all records in one PutRecordBatch (developer guide, "Quotas": 4 MiB).
    package static let maximumBatchBytes = 4 * 1024 * 1024
    /// Raw bytes of one record (API model: `Data`, max 1,024,000).
    package static let maximumRecordBytes = 1_024_000
    /// Bytes of one HTTP request body, before and after decompression.
    ///
    /// A batch of 4 MiB takes 5.6 MB in base64, and encoders of JSON add white space and escapes.
    package static let maximumRequestBodyBytes = 8 * 1024 * 1024
    /// Request bodies held in memory at one time, all connections together; further requests wait
    /// unread.
    ///
    /// Large enough that a few dozen full batches decode side by side.
    package static let maximumRequestBodiesInMemoryBytes = 64 * 1024 * 1024
    /// Bytes of a body that does not wait for the memory that larger ones hold: a put of a few records.
    package static let smallRequestBodyBytes = 64 * 1024
    /// Bytes of such bodies in memory at one time, beside the others.
    package static let smallRequestBodiesInMemoryBytes = 8 * 1024 * 1024
    /// Bytes a second that a request must bring on average while others wait for the memory that it
    /// holds.
    package static let minimumBodyBytesPerSecond = 64 * 1024
    /// Bytes of a control-plane request's body: the model's largest stays far below.
    package static let maximumControlBodyBytes = 256 * 1024
    /// Bytes of a body that is still read, so that the connection can go on, after the request's
    /// head was refused.
    package static let maximumRefusedBodyBytes = 64 * 1024
    /// Violated constraints that an answer names, and characters of a value that it repeats.
    package static let maximumReportedViolations = 10
    /// See `maximumReportedViolations`.
    package static let maximumReportedValueCharacters = 256
    /// Connections to endpoints and clusters, where the limit on open files allows for it.
    package static let maximumEndpointConnections = 4096
    /// Connections to buckets.
    package static let maximumBucketConnections = 64
    /// Open client connections; more are closed at once.
    package static let maximumConnections = 4096
    /// Depth of nested JSON in a request (Foundation's own parser stops at 512).
    package static let maximumJSONDepth = 512

    /// Length of a delivery stream's name (API model).
    package static let maximumStreamNameCharacters = 64
    /// Delivery streams on one server (API model: 5,000 in a region).
    package static let maximumStreams = 5000
    /// Names in one ListDeliveryStreams answer (API model), and the default.
    package static let listLimit = 1...10_000
    /// Default of ListDeliveryStreams' `Limit` (API model).
    package static let defaultListLimit = 10
    /// Tags of one stream (API model).
    package static let maximumTags = 50

    /// `SizeInMBs` for S3 (API model).
    package static let bufferSizeMegabytes = 1...128
    /// Default of `SizeInMBs` for S3 (API model).
    package static let defaultBufferSizeMegabytes = 5
    /// `IntervalInSeconds` that AWS takes goes from 0; this product's floor is 60 and settable.
    package static let defaultMinimumBufferIntervalSeconds = 60
    /// Highest `IntervalInSeconds` (API model).
    package static let maximumBufferIntervalSeconds = 900
    /// Default of `IntervalInSeconds` for S3 (API model).
    package static let defaultBufferIntervalSeconds = 300
    /// Bytes of an object's key in UTF-8 (S3 user guide, "Naming Amazon S3 objects").
    package static let maximumKeyBytes = 1024
    /// Characters of `Prefix` and `ErrorOutputPrefix` (API model).
    package static let maximumPrefixCharacters = 1024
    /// Characters of a prefix after its expressions are evaluated (developer guide, "prefixes").
    package static let maximumEvaluatedPrefixCharacters = 512

    /// Bytes of appended batches that may wait for the disk in one stream's log.
    package static let maximumQueuedAppendBytes = 64 * 1024 * 1024
    /// Bytes of one batch in a log, length prefixes included: a put stays far below, what a batch was
    /// transformed into may come near.
    package static let maximumFrameBytes = 48 * 1024 * 1024
    /// Bytes written to the log before one sync (group commit).
    package static let maximumGroupBytes = 8 * 1024 * 1024
    /// A stream's first log segment, and the only one of an idle stream, which takes at most 1 MiB with two
    /// logs.
    package static let firstSegmentBytes: UInt64 = 256 * 1024
    /// Later segments of a stream, at the most.
    package static let segmentBytes: UInt64 = 64 * 1024 * 1024
    /// Segments of all streams that are open at a time, where the limit on open files allows for it.
    package static let maximumOpenSegments = 1024
    /// How often it is looked for logs that are idle.
    package static let logTidySeconds = 2
    /// Used segments kept for reuse, all streams together.
    package static let maximumSpareSegments = 4
    /// Newest segments of a stream that may stay in the page cache: room for the largest buffer,
    /// twice.
    ///
    /// A backlog beyond them costs disk alone.
    package static let cachedSegments = 4
    /// Undelivered bytes that one stream may hold on disk by default.
    package static let defaultMaximumLogBytesPerStream: UInt64 = 64 * 1024 * 1024 * 1024
    /// Free disk below which no log takes more from producers: what is delivered needs the rest.
    package static let minimumFreeDiskBytes: UInt64 = 512 * 1024 * 1024
    /// Free disk below which no more of a stream is transformed while something that was waits for its
    /// delivery: room for the spool file of the largest object, twice.
    package static let minimumFreeDiskBytesForOutcomes: UInt64 = 256 * 1024 * 1024
    /// Free disk that no log takes at all: for checkpoints, journal entries and what is kept of failed
    /// records.
    package static let reservedDiskBytes: UInt64 = 16 * 1024 * 1024

    /// Batches that are being transformed at one time, all streams together, by default: each may hold
    /// some 20 MB, and a process.
    package static let defaultMaximumTransformBatches = 64
    /// Records of one batch that is transformed.
    package static let maximumTransformBatchRecords = 50_000
    /// Bytes of one batch that is transformed without a program.
    package static let builtInTransformBatchBytes: UInt64 = 1024 * 1024
    /// Bytes and records, taken apart and unpacked, after which a part of a batch goes into invocations
    /// of its own.
    package static let maximumTransformSliceBytes = 4 * 1024 * 1024
    /// See `maximumTransformSliceBytes`.
    package static let maximumTransformSliceRecords = 30_000
    /// Bytes that were transformed after which the checkpoint moves at once.
    package static let transformCheckpointBytes: UInt64 = 16 * 1024 * 1024
    /// Buffers of transformed records that may wait for their delivery: those on their way, and two.
    package static let maximumOutcomeBuffers = maximumBuffersInFlight + 2

    /// Buffers of one stream on their way to the destination at one time.
    package static let maximumBuffersInFlight = 4
    /// The same for Splunk, which confirms buffers long after it has them, and for warehouses, which load
    /// objects long after those are stored: they wait on disk alone.
    package static let maximumUnconfirmedBuffers = 16
    /// COPYs that run at one time, all streams together: each may be a process.
    package static let maximumCopies = 32
    /// The same for one warehouse.
    package static let maximumCopiesOfWarehouse = 8
    /// Full buffers that may wait behind those on their way before they grow.
    package static let backlogBuffers: UInt64 = 8
    /// Buffers in order, settled ones among them, that one which is not settled holds up, for each that
    /// may be on its way.
    package static let settledBuffersBehindOne = 16
    /// KiB of the requests of all streams that are in memory at one time.
    package static let maximumRequestKibibytesInMemory = 256 * 1024
    /// The same for streams whose last request brought nothing: they wait for each other, and not the
    /// others for them.
    package static let maximumTroubledRequestKibibytesInMemory = 64 * 1024
    /// KiB that a request takes beyond its records, twice.
    package static let requestOverheadKibibytes = 64
    /// Bytes that a record of a request takes beyond its data, once.
    package static let requestBytesOfRecord: UInt64 = 80
    /// How long a request may take, bringing nothing, before the next ones wait apart from others'.
    package static let troubledRequestSeconds = 5
    /// How long a destination is asked at the most which of some records it holds, before they are given
    /// up; a stream's own retry duration where that is shorter.
    package static let maximumLookSeconds = 300
    /// How long a request that was given up may still be under way, before it is asked what came of it.
    package static let lookPauseSeconds = 10
    /// How long a destination that asked to be left alone for long is, while delivery is paused.
    package static let maximumPausedSeconds = 30
    /// Records that are not delivered, of those that a journal entry says are behind: more are not told
    /// one by one.
    package static let maximumOpenRecords = 20_000
    /// Requests of one stream at one time.
    package static let maximumRequestsOfStream = 2
    /// `SizeInMBs` of the destinations that take records (API model).
    package static let searchBufferMegabytes = 100
    /// See `searchBufferMegabytes`.
    package static let httpEndpointBufferMegabytes = 64
    /// See `searchBufferMegabytes`.
    package static let splunkBufferMegabytes = 5
    /// Default of `SizeInMBs` where formats are converted (API model, ExtendedS3).
    package static let defaultConversionBufferSizeMegabytes = 128
    /// Default of `SizeInMBs` of the destinations that take records (API model).
    package static let defaultRecordsBufferSizeMegabytes = 5
    /// Default of `IntervalInSeconds` for OpenSearch and HTTP endpoints (API model).
    package static let defaultRecordsBufferIntervalSeconds = 300
    /// Default of `IntervalInSeconds` for Splunk (API model).
    package static let defaultSplunkBufferIntervalSeconds = 60
    /// Default of `RetryOptions.DurationInSeconds` of the destinations that take records (API model).
    package static let defaultRecordsRetrySeconds = 300
    /// Default of `RetryOptions.DurationInSeconds` for Redshift (API model).
    package static let defaultRedshiftRetrySeconds = 3600
    /// Default of `HECAcknowledgmentTimeoutInSeconds` (API model).
    package static let defaultSplunkAcknowledgementSeconds = 180
    /// Default of a Lambda processor's `NumberOfRetries` (developer guide, "Data transformation").
    package static let defaultLambdaRetries = 3
    /// Default of a Lambda processor's `BufferSizeInMBs` (developer guide, "Data transformation").
    package static let defaultLambdaBufferMegabytes = 1
    /// Default of a Lambda processor's `BufferIntervalInSeconds` (developer guide, "Data
    /// transformation").
    package static let defaultLambdaBufferIntervalSeconds = 60
    /// Spool files of all streams at one time, each of a buffer's size at most.
    package static let maximumSpoolFiles = 16
    /// How long a buffer is tried after a start at the least, however long ago its first attempt was.
    package static let minimumRetrySecondsAfterStart = 60
    /// How long S3 delivery is tried (developer guide, "Data delivery": 24 hours).
    package static let defaultS3RetrySeconds = 24 * 60 * 60
}
