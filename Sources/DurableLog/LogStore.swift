package import Logging
package import Platform
package import Records

/// The logs of all streams in one data folder: their threads, and the segments they share.
package final class LogStore: Sendable {
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

    /// Opens the log in `folder`, created if it is missing.
    ///
    /// Blocks while it recovers.
    ///
    /// - Parameters:
    ///   - folder: The log's own folder.
    ///   - readers: Every reader that the log holds records for.
    ///   - floors: Marks that the log is known to have reached, beside its checkpoints; it goes on
    ///     behind them even if it lost its end.
    ///   - isEncrypted: Whether what is appended is encrypted.
    ///   - isBounded: Whether the bound on a log's bytes holds; where it does not, the caller sees to it
    ///     that the log does not grow without end.
    /// - Returns: The log, ready to append and to read.
    /// - Throws: `LogError` where the files cannot be read, are of another version, or a checkpoint
    ///   is damaged.
    package func open(
        _ folder: String,
        readers: [String],
        floors: [LogMark] = [],
        isEncrypted: Bool = false,
        isBounded: Bool = true
    )
        throws(LogError) -> StreamLog
    {
        var options = options
        if !isBounded { options.maximumLogBytes = .max }
        return try StreamLog(
            folder: folder,
            readers: readers,
            floors: floors,
            isEncrypted: isEncrypted || options.encryptsAll,
            options: options,
            pool: pool,
            threads: threads,
            encryptionSpaces: encryptionSpaces,
            logger: logger
        )
    }

    /// Whether logs can be encrypted.
    package var hasMasterKey: Bool { options.masterKeys != nil }

    /// Closes a log: refuses new batches and makes durable what was accepted.
    package func close(_ log: StreamLog) async { await log.close() }

    /// Ends the threads; every log must be closed.
    package func shutDown() { threads.close() }
}
