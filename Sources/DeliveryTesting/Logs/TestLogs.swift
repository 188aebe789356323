internal import DurableLog
internal import Logging
internal import Platform
package import Records
package import TestSupport

/// What a test's logs are kept in.
package enum LogKind: String, Sendable, CaseIterable {
    /// Files, as a server's.
    case files
    /// Memory; see `MemoryLogs`.
    case memory
}

/// The logs of a server under test, over its restarts.
package final class TestLogs {
    private let spareFolder: String
    private let time: ManualTime
    private let maximumLogBytes: UInt64
    private let memory: MemoryLogs?
    private let freeBytes: @Sendable (String) -> UInt64?
    private var store: LogStore?

    /// Logs of a kind, small enough that little fills a segment; files keep spare segments in a folder,
    /// on a disk with so many `freeBytes`.
    package init(
        _ kind: LogKind,
        spareFolder: String,
        time: ManualTime,
        maximumLogBytes: UInt64 = .max,
        freeBytes: @escaping @Sendable (String) -> UInt64? = Folder.freeBytes
    ) {
        self.freeBytes = freeBytes
        self.spareFolder = spareFolder
        self.time = time
        self.maximumLogBytes = maximumLogBytes
        memory =
            kind == .memory ? MemoryLogs(maximumLogBytes: maximumLogBytes, time: time) : nil
    }

    /// A server starts.
    package func start() throws -> any RecordLogs {
        if let memory { return memory }
        let store = try LogStore(
            spareFolder: spareFolder,
            options: LogOptions(
                firstSegmentBytes: 64 * 1024,
                segmentBytes: 1024 * 1024,
                maximumLogBytes: maximumLogBytes,
                freeBytes: freeBytes,
                time: time
            ),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
        self.store = store
        return store
    }

    /// It ends, with all its logs closed.
    package func stop() {
        store?.shutDown()
        store = nil
    }
}
