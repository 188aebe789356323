internal import Destinations
internal import Synchronization

/// What `hydrant serve --check` finds, printed as it is found.
final class Findings: Sendable {
    enum Level: String, CaseIterable {
        case ok
        case warn
        case fail = "FAIL"
    }

    private let counts = Mutex<[Level: Int]>([:])

    /// Says one thing.
    func say(_ level: Level, _ subject: String, _ text: String) throws {
        counts.withLock { $0[level, default: 0] += 1 }
        let line = LogText.line("\(subject): \(text)")
        let space = String(repeating: " ", count: 4 - level.rawValue.count)
        try StandardStreams.print("\(level.rawValue)\(space)  \(line)")
    }

    /// Says what was found where records are to go.
    func say(_ reach: Reach, _ subject: String) throws {
        switch reach {
        case .reached(let text): try say(.ok, subject, text)
        case .doubtful(let text): try say(.warn, subject, text)
        case .failed(let text): try say(.fail, subject, text)
        }
    }

    /// Runs something, and says what is wrong with it, or that it is right.
    func attempt<Value>(
        _ subject: String,
        _ work: () throws -> Value,
        good: (Value) -> String
    ) throws -> Value? {
        let value: Value
        do {
            value = try work()
        } catch {
            try say(.fail, subject, "\(error)")
            return nil
        }
        try say(.ok, subject, good(value))
        return value
    }

    /// The last line; gives whether nothing failed.
    func conclude() throws -> Bool {
        let counts = counts.withLock { $0 }
        let fails = counts[.fail] ?? 0
        try StandardStreams.print(
            "\(counts[.ok] ?? 0) ok, \(counts[.warn] ?? 0) to look at, \(fails) wrong"
        )
        return fails == 0
    }
}
