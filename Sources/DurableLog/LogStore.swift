package import Logging
package import Platform
package import Records
internal import Synchronization

/// The logs of all streams in one data folder, each in a folder that is its name: their threads, and the
/// segments they share.
package final class LogStore: RecordLogs, Sendable {
    private let options: LogOptions
    private let pool: SegmentPool
    private let files: SegmentFiles
    private let threads: WorkerThreads
    /// Has one idle log after the other give back what it took, and so takes little from others.
    private let upkeep = WorkerThreads(count: 1)
    private let encryptionSpaces = EncryptionSpaces()
    private let logger: Logger

    private struct Entry {
        weak var log: StreamLog?
    }
    /// Those that are open.
    private let logs = Mutex<[Entry]>([])

    /// Keeps spare segments in `spareFolder`, and at most so many segments open.
    package init(
        spareFolder: String,
        options: LogOptions,
        threadCount: Int = 4,
        maximumOpenSegments: Int = Limits.maximumOpenSegments,
        logger: Logger
    )
        throws(SystemError)
    {
        self.options = options
        self.logger = logger
        pool = try SegmentPool(
            folder: spareFolder,
            maximumCount: Limits.maximumSpareSegments
        )
        files = SegmentFiles(maximum: maximumOpenSegments)
        threads = WorkerThreads(count: threadCount)
    }

    package func open(_ name: String, for use: LogUse) throws(LogError) -> any RecordLog {
        try openLog(name, for: use)
    }

    /// Opens the log in a folder; see `RecordLogs`.
    func openLog(_ folder: String, for use: LogUse) throws(LogError) -> StreamLog {
        var options = options
        if !use.isIntake {
            options.maximumLogBytes = .max
            options.diskFloor = .outcomes
        }
        var use = use
        if options.encryptsAll { use.isEncrypted = true }
        let log = try StreamLog(
            folder: folder,
            for: use,
            options: options,
            shared: StreamLog.Shared(
                pool: pool,
                files: files,
                threads: threads,
                encryptionSpaces: encryptionSpaces,
                logger: logger
            )
        )
        logs.withLock { logs in
            logs.removeAll { $0.log == nil }
            logs.append(Entry(log: log))
        }
        return log
    }

    /// Closes the files of logs that were not used since the last call, and gives back the disk space of
    /// those that are idle and delivered.
    ///
    /// Blocks.
    package func tidy() {
        for log in logs.withLock({ $0.compactMap(\.log) }) { log.tidy() }
        files.closeUnused()
    }

    /// Calls `tidy` now and then, until the task is cancelled.
    package func keepTidy() async {
        let interval = Duration.seconds(Limits.logTidySeconds)
        while (try? await options.time.sleep(for: interval)) != nil {
            do { try await upkeep.run { _ in self.tidy() } } catch { return }
        }
    }

    package func remove(_ name: String) throws(SystemError) { try Folder.remove(name) }

    private var folders: LogFolders { LogFolders(masterKeys: options.masterKeys) }

    package var masterKeyFailure: LogKeyFailure? { folders.masterKeyFailure }

    package func exists(_ name: String) -> Bool { folders.exists(name) }

    package func encryptionFailure(of name: String) -> LogKeyFailure? {
        folders.encryptionFailure(of: name)
    }

    /// Ends the threads; every log must be closed.
    package func shutDown() {
        upkeep.close()
        threads.close()
    }
}
