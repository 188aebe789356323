import Dispatch
import Encryption
import Logging
import Platform
import Records
import Synchronization
import TestSupport

@testable import DurableLog

/// A log on a temporary folder, with calls that wait, and with small segments.
final class LogHarness {
    static let reader = "delivery"
    let folder = TemporaryFolder()
    let time = ManualTime()
    private(set) var store: LogStore
    private(set) var log: StreamLog
    private var options: LogOptions
    private let faults: SystemFaults.Installation?

    init(
        firstSegmentBytes: UInt64 = 64 * 1024,
        segmentBytes: UInt64 = 256 * 1024,
        maximumLogBytes: UInt64 = .max,
        masterKeys: MasterKeys? = nil,
        fault: SystemFaults.Fault? = nil
    ) throws {
        let root = folder.path
        faults = fault.map { SystemFaults.install(below: root, $0) }
        options = LogOptions(
            firstSegmentBytes: firstSegmentBytes,
            segmentBytes: segmentBytes,
            maximumLogBytes: maximumLogBytes,
            masterKeys: masterKeys,
            time: time
        )
        (store, log) = try Self.open(folder, options, isEncrypted: masterKeys != nil)
    }

    private static func open(
        _ folder: TemporaryFolder,
        _ options: LogOptions,
        isEncrypted: Bool
    ) throws -> (
        LogStore, StreamLog
    ) {
        var logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        logger.logLevel = .critical
        let store = try LogStore(
            spareFolder: folder("spare"),
            options: options,
            threadCount: 2,
            logger: logger
        )
        return (
            store,
            try store.openLog(
                folder("log"),
                for: LogUse(readers: [reader], isEncrypted: isEncrypted)
            )
        )
    }

    deinit {
        store.shutDown()
        faults?.remove()
    }

    /// Opens the folder anew, as after a crash: the log is not closed before.
    func reopen() throws { try reopen(masterKeys: options.masterKeys) }

    /// Opens the folder anew with other master keys; what is appended is encrypted where there are some,
    /// unless `isEncrypted` says otherwise.
    func reopen(masterKeys: MasterKeys?, isEncrypted: Bool? = nil) throws {
        store.shutDown()
        options.masterKeys = masterKeys
        (store, log) = try Self.open(
            folder,
            options,
            isEncrypted: isEncrypted ?? (masterKeys != nil)
        )
    }

    func append(_ records: [[UInt8]]) async throws -> AppendReceipt {
        try await log.append(records)
    }

    /// Everything from a mark (by default the checkpoint) to the tail.
    func read(
        from mark: LogMark? = nil,
        to end: LogMark? = nil
    ) throws -> (
        records: [[UInt8]], damaged: [LogDamage]
    ) {
        var records: [[UInt8]] = []
        var damaged: [LogDamage] = []
        try log.read(
            from: mark ?? log.checkpoint(of: Self.reader),
            to: end ?? log.tail
        ) { chunk in
            switch chunk {
            case .records(let chunk):
                let before = records.count
                chunk.forEachRecord { record, _ in records.append(Array(record)) }
                precondition(records.count - before == chunk.count)
            case .damaged(let damage): damaged.append(damage)
            }
        }
        return (records, damaged)
    }

    func move(to mark: LogMark) throws { try log.moveCheckpoint(of: Self.reader, to: mark) }

    /// How many segments are open.
    var openFiles: Int { log.files.openCount }

    /// Waits until the log's threads have done what they were asked to.
    func waitForThreads() async throws {
        // One for each thread: each waits for the other.
        try await withThrowingTaskGroup { group in
            let barrier = ThreadBarrier(count: 2)
            for _ in 0..<2 {
                group.addTask { [threads = log.threads] in
                    try await threads.run { _ in barrier.wait() }
                }
            }
            try await group.waitForAll()
        }
    }

    var segmentFiles: [String] {
        get throws {
            try Folder.list(folder("log")).filter { $0.hasSuffix(".segment") }
                .map { folder("log/" + $0) }
        }
    }

    var unfinishedFiles: [String] {
        get throws { try Folder.list(folder("log")).filter { $0.hasSuffix(".new") } }
    }

    /// Changes bytes of a segment file at an offset of the log.
    func overwrite(_ path: String, at offset: UInt64, with bytes: [UInt8]) throws {
        let name = String(path.split(separator: "/").last ?? "")
        let base = Segment.base(ofName: name) ?? 0
        try File(path, .update).write(
            bytes,
            at: UInt64(SegmentHeader.byteCount) + offset - base
        )
    }
}

/// A sync that goes on when a test says so.
final class BlockedSync: Sendable {
    private let suffix: String
    private let isArmed = Atomic(false)
    private let isOver = DispatchSemaphore(value: 0)
    private let hasWaited = Atomic(false)
    private let reached = AsyncStream.makeStream(of: Void.self)

    /// Of files whose name ends so.
    init(of suffix: String) { self.suffix = suffix }

    var fault: SystemFaults.Fault {
        { [self] call, path, _ in
            guard call == .sync, path.hasSuffix(suffix),
                isArmed.exchange(false, ordering: .relaxed)
            else { return nil }
            reached.continuation.yield()
            // A test that waits for it fails, and does not hang.
            if isOver.wait(timeout: .now() + 10) == .timedOut {
                hasWaited.store(true, ordering: .relaxed)
            }
            return nil
        }
    }

    /// Blocks the next one.
    func arm() { isArmed.store(true, ordering: .relaxed) }

    /// Waits until it is blocked.
    func whenReached() async {
        for await _ in reached.stream { return }
    }

    /// Lets it go on; false where it has waited for too long.
    func release() -> Bool {
        isOver.signal()
        return !hasWaited.load(ordering: .relaxed)
    }
}

/// Holds so many threads until all of them are there.
private final class ThreadBarrier: Sendable {
    private let arrived: Atomic<Int>
    private let all = DispatchSemaphore(value: 0)
    private let count: Int

    init(count: Int) {
        self.count = count
        arrived = Atomic(0)
    }

    func wait() {
        if arrived.add(1, ordering: .sequentiallyConsistent).newValue == count {
            for _ in 0..<count { all.signal() }
        }
        all.wait()
    }
}

extension StreamLog {
    /// Appends and waits for the answer.
    func append(_ records: [[UInt8]]) async throws -> AppendReceipt {
        try await withCheckedThrowingContinuation { continuation in
            append(RecordBatch(records)) { continuation.resume(with: $0) }
        }
    }
}
