package import Records
internal import Synchronization
internal import TestSupport

/// Logs in memory, which outlive those who use them as files do.
///
/// Positions and numbers tell nothing of how much went by before: both have gaps, and a batch may be stored
/// in parts, as in a log that is distributed.
package final class MemoryLogs: RecordLogs {
    private struct State {
        var contents: [String: MemoryLogContent] = [:]
        var generator: SeededGenerator
    }
    private let state: Mutex<State>
    private let maximumLogBytes: UInt64
    private let time: any TimeSource

    /// No logs yet; the gaps are those of the seed.
    package init(seed: UInt64 = 1, maximumLogBytes: UInt64 = .max, time: any TimeSource) {
        state = Mutex(State(generator: SeededGenerator(seed: seed)))
        self.maximumLogBytes = maximumLogBytes
        self.time = time
    }

    package func open(_ name: String, for use: LogUse) throws -> any RecordLog {
        if use.isEncrypted { throw Self.noKey }
        let content = state.withLock { state in
            if let content = state.contents[name] { return content }
            let content = MemoryLogContent(seed: state.generator.next())
            state.contents[name] = content
            return content
        }
        content.begin(use)
        return MemoryLog(
            content,
            maximumLogBytes: use.isIntake ? maximumLogBytes : .max,
            time: time
        )
    }

    package func remove(_ name: String) throws { state.withLock { $0.contents[name] = nil } }

    package func exists(_ name: String) -> Bool { state.withLock { $0.contents[name] != nil } }

    static let noKey = LogKeyFailure(code: .noMasterKey, message: "logs in memory have no keys")

    package var masterKeyFailure: LogKeyFailure? { Self.noKey }

    package func encryptionFailure(of name: String) -> LogKeyFailure? { nil }
}
