internal import Logging
internal import Synchronization

/// Lets of warnings that repeat themselves a few pass in a minute, and counts the rest.
final class LogRepeats: Sendable {
    /// What is told apart: the same message about the same stream.
    struct Line: Hashable {
        var level: Logger.Level
        var label: String
        var message: String
        var stream: String?
    }

    /// What was left out of one kind.
    struct LeftOut {
        var level: Logger.Level
        var label: String
        var message: String
        var stream: String?
        var count: Int
    }

    private struct Window {
        var begin: ContinuousClock.Instant
        var said = 0
        var leftOut = 0
    }

    /// Lines about one stream in a minute.
    static let maximumOfStream = 10
    /// Lines about all streams in a minute.
    static let maximumOfMessage = 100
    /// Kinds that are told apart at one time; beyond, they are told by their message alone.
    private static let maximumKinds = 4096
    private static let period: Duration = .seconds(60)

    private let windows = Mutex<[Line: Window]>([:])

    /// Whether a line is said, and what was left out before it.
    func admit(_ line: Line, now: ContinuousClock.Instant) -> (isSaid: Bool, leftOut: [LeftOut]) {
        windows.withLock { windows in
            var left: [LeftOut] = []
            var all = line
            all.stream = nil
            var isSaid = true
            for (kind, maximum) in [(line, Self.maximumOfStream), (all, Self.maximumOfMessage)] {
                // A message without a stream is one kind, with the bound of one.
                if kind == all, line.stream == nil, maximum == Self.maximumOfMessage { continue }
                var window = windows[kind] ?? Window(begin: now)
                if window.begin.duration(to: now) >= Self.period {
                    if window.leftOut > 0 { left.append(Self.leftOut(kind, window)) }
                    window = Window(begin: now)
                }
                if isSaid, window.said < maximum {
                    window.said += 1
                } else {
                    // Counted once, where it was found to be too much.
                    if isSaid { window.leftOut += 1 }
                    isSaid = false
                }
                // Messages are few: each has its bound, however many streams there are.
                if windows[kind] != nil || kind.stream == nil
                    || windows.count < Self.maximumKinds
                {
                    windows[kind] = window
                }
            }
            return (isSaid, left)
        }
    }

    /// Takes what was left out in windows that are over, or in all.
    func takeLeftOut(now: ContinuousClock.Instant, all: Bool) -> [LeftOut] {
        windows.withLock { windows in
            let over = windows.filter { all || $0.value.begin.duration(to: now) >= Self.period }
            for kind in over.keys { windows[kind] = nil }
            return over.filter { $0.value.leftOut > 0 }.map { Self.leftOut($0.key, $0.value) }
                .sorted { ($0.message, $0.stream ?? "") < ($1.message, $1.stream ?? "") }
        }
    }

    private static func leftOut(_ line: Line, _ window: Window) -> LeftOut {
        LeftOut(
            level: line.level,
            label: line.label,
            message: line.message,
            stream: line.stream,
            count: window.leftOut
        )
    }
}
