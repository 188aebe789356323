internal import Encryption
internal import Logging
internal import Platform
package import Records
internal import Synchronization

/// A delivery stream's log in segment files: batches in by group commit, ranges out to readers.
///
/// Locks are never held together except in the order writer, segments, durable: `writer` for the thread
/// that is at the disk, `segments` for the list of files, `durable` for its end; and in the order readers,
/// checkpoints: `readers` for the thread that moves one, `checkpoints` for where they are. Those that
/// readers and producers ask for are never held over a sync.
package final class StreamLog: RecordLog, Sendable {
    let folder: String
    package let identity: UInt64
    /// That of what is appended from now on: segments are never gone on with after a start.
    let generation = UInt64.random(in: 1 ... .max)
    let options: LogOptions
    /// See `LogUse`.
    let deliverer: String?
    private let shared: Shared
    let queue: Mutex<LogWriterStateMachine<PendingAppend>>
    let writer: Mutex<Writer>
    let segments: Mutex<[Segment]>
    let durable: Mutex<DurableTail>
    /// Held over syncs: what others ask of readers is in `checkpoints`.
    let readers: Mutex<[String: Reader]>
    /// The durable checkpoints of `readers`.
    let checkpoints: Mutex<[String: LogMark]>
    let encryption: EncryptionKeys
    /// The offset that every reader has passed.
    let slowestOffset: Atomic<UInt64>
    /// Resumed when the last group is written after a close.
    let closed: Mutex<CloseState>

    /// A batch that waits to be written.
    struct PendingAppend {
        var batch: RecordBatch
        /// Nil for now.
        var arrival: Timestamp?
        var completion: AppendCompletion

        /// Bytes that its frame takes.
        func frameBytes(isEncrypted: Bool) -> UInt64 {
            UInt64(
                FrameHeader.byteCount + RecordBatch.padded(payloadBytes(isEncrypted: isEncrypted))
            )
        }

        /// Bytes of its frame's payload.
        func payloadBytes(isEncrypted: Bool) -> Int {
            isEncrypted
                ? EncryptedPayload.byteCount(ofPlain: batch.payloadBytes) : batch.payloadBytes
        }
    }

    /// What the writing thread knows.
    struct Writer {
        /// The mark behind the last durable frame.
        var end: LogMark
        /// The segment that grows.
        ///
        /// Nil at start and after a failed write: what a file holds then is not known for sure, so
        /// the next frame goes into a new one.
        var current: Segment?
        /// How many segments this log has begun since it was opened or idle: the first is a small one.
        var segmentCount: Int
    }

    /// The durable end, and who waits for it to come to a point.
    struct DurableTail {
        var mark: LogMark
        /// Whether something was appended since `tidy` last looked.
        var isActive = true
        /// By reader.
        var wakes: [String: Wake] = [:]
    }

    /// What a reader waits for.
    struct Wake {
        var records: UInt64
        var bytes: UInt64
        var action: @Sendable () -> Void

        func isDue(at mark: LogMark) -> Bool { mark.records >= records || mark.bytes >= bytes }
    }

    typealias Reader = CheckpointFile.Reader

    enum CloseState {
        case open
        case waiting([CheckedContinuation<Void, Never>])
        case closed
    }

    /// What a log shares with others.
    struct Shared: Sendable {
        var pool: SegmentPool
        var files: SegmentFiles
        var threads: WorkerThreads
        var encryptionSpaces: EncryptionSpaces
        var logger: Logger
    }

    /// Opens the log in `folder`, which is created if it is missing, and recovers what a former
    /// process left there.
    init(
        folder: String,
        for use: LogUse,
        options: LogOptions,
        shared: Shared
    ) throws(LogError) {
        try LogError.catching { () throws(SystemError) in try Folder.create(folder) }
        var files: [String: (file: CheckpointFile, slot: CheckpointFile.Slot?)] = [:]
        for name in use.readers {
            files[name] = try CheckpointFile.open(name, in: folder, shared.logger)
        }
        let slots = files.values.compactMap(\.slot)
        let found = try LogRecovery(
            folder: folder,
            files: shared.files,
            knownIdentity: slots.first?.logIdentity,
            floors: use.floors + slots.map(\.mark)
        )
        self.folder = folder
        self.options = options
        deliverer = use.deliverer
        self.shared = shared
        identity = found.logIdentity
        queue = Mutex(
            LogWriterStateMachine(
                maximumQueuedBytes: options.maximumQueuedBytes,
                maximumGroupBytes: options.maximumGroupBytes
            )
        )
        writer = Mutex(
            Writer(
                end: found.end,
                current: nil,
                segmentCount: 0
            )
        )
        segments = Mutex(found.segments)
        durable = Mutex(DurableTail(mark: found.end))
        var all: [String: Reader] = [:]
        for (name, (file, slot)) in files {
            all[name] = try Reader(file, slot, from: found.start, of: found.logIdentity)
        }
        readers = Mutex(all)
        checkpoints = Mutex(all.mapValues(\.slot.mark))
        encryption = try EncryptionKeys(
            folder: folder,
            logIdentity: found.logIdentity,
            masterKeys: options.masterKeys,
            isOn: use.isEncrypted,
            hasEncryptedFrames: found.encryptedEnd
                > (slots.map(\.mark.position.offset).min() ?? 0)
        )
        slowestOffset = Atomic(0)
        closed = Mutex(.open)
        report(found)
        releasePassedSegments()
    }

    var pool: SegmentPool { shared.pool }
    var files: SegmentFiles { shared.files }
    var threads: WorkerThreads { shared.threads }
    var encryptionSpaces: EncryptionSpaces { shared.encryptionSpaces }
    var logger: Logger { shared.logger }

    /// The part of the identity that every frame carries.
    var tag: UInt32 { UInt32(truncatingIfNeeded: identity) }

    package var isEncryptionInUse: Bool { encryption.isInUse }

    package var encryptionFailure: LogKeyFailure? { encryption.failure.map { LogKeyFailure($0) } }

    /// Blocks while a group is written.
    package func setEncryption(_ isOn: Bool) throws(FirehoseError) {
        // Under the writer's lock, so that no group is half and half.
        try writer.withLock { _ throws(FirehoseError) in
            try encryption.set(on: isOn || options.encryptsAll)
        }
    }

    package func generation(at mark: LogMark) -> UInt64 {
        segments.withLock { $0.last { $0.base <= mark.position.offset }?.generation } ?? generation
    }

    package func generation(before mark: LogMark) -> UInt64 {
        segments.withLock { $0.last { $0.base < mark.position.offset }?.generation } ?? generation
    }

    package var tail: LogMark { durable.withLock { $0.mark } }

    /// Records are numbered as they are counted, without gaps.
    package var nextRecord: RecordNumber { RecordNumber(tail.records) }

    package func wake(
        _ reader: String,
        atRecords records: UInt64,
        orBytes bytes: UInt64,
        _ action: @escaping @Sendable () -> Void
    ) {
        let wake = Wake(records: records, bytes: bytes, action: action)
        let isReached = durable.withLock { tail in
            let isReached = wake.isDue(at: tail.mark)
            tail.wakes[reader] = isReached ? nil : wake
            return isReached
        }
        if isReached { action() }
    }

    package var backlogBytes: UInt64 {
        let end = tail.position.offset
        return end - min(slowestOffset.load(ordering: .relaxed), end)
    }

    private func report(_ found: LogRecovery) {
        if found.tornBytes > 0 {
            logger.notice(
                "cut an unfinished write from the log's end",
                metadata: ["folder": "\(folder)", "bytes": "\(found.tornBytes)"]
            )
        }
        for path in found.damagedHeaders {
            logger.error(
                "a segment's header is damaged; its frames are read all the same",
                metadata: ["path": "\(path)"]
            )
        }
        for range in found.damaged {
            logger.error(
                "the log is damaged: acknowledged records in this range cannot be read",
                metadata: [
                    "folder": "\(folder)", "from": "\(range.lowerBound)",
                    "to": "\(range.upperBound)",
                ]
            )
        }
        if found.lostItsEnd {
            logger.error(
                "the log lost its end: records that were acknowledged may be missing",
                metadata: ["folder": "\(folder)"]
            )
        }
    }
}
