package import Logging
package import Platform
package import Records

/// The logs of all streams in one data folder, each in a folder that is its name: their threads, and the
/// segments they share.
package final class LogStore: RecordLogs, Sendable {
    private let options: LogOptions
    private let pool: SegmentPool
    private let threads: WorkerThreads
    private let encryptionSpaces = EncryptionSpaces()
    private let logger: Logger

    /// Keeps spare segments in `spareFolder`.
    package init(
        spareFolder: String,
        options: LogOptions,
        threadCount: Int = 4,
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
        return try StreamLog(
            folder: folder,
            for: use,
            options: options,
            shared: StreamLog.Shared(
                pool: pool,
                threads: threads,
                encryptionSpaces: encryptionSpaces,
                logger: logger
            )
        )
    }

    package func remove(_ name: String) throws(SystemError) { try Folder.remove(name) }

    private var folders: LogFolders { LogFolders(masterKeys: options.masterKeys) }

    package var masterKeyFailure: LogKeyFailure? { folders.masterKeyFailure }

    package func exists(_ name: String) -> Bool { folders.exists(name) }

    package func encryptionFailure(of name: String) -> LogKeyFailure? {
        folders.encryptionFailure(of: name)
    }

    /// Ends the threads; every log must be closed.
    package func shutDown() { threads.close() }
}
