internal import Records
internal import Synchronization

/// The flushes of a stream that somebody has asked for: up to where each goes, in the stream's own log and
/// in that of what was transformed.
final class Flushes: Sendable {
    /// One of them.
    struct Target {
        var number: UInt64
        var source: LogMark
        /// Known once all before the source's mark is transformed.
        var outcome: LogMark?
    }
    private struct State {
        var targets: [Target] = []
        var lastNumber: UInt64 = 0
    }

    /// Beyond so many, none is added.
    private static let maximumTargets = 1000

    private let state = Mutex(State())

    /// The flush of that number, or a new one up to `end`; those that have ended are forgotten then.
    ///
    /// - Returns: Nil where there are too many.
    func target(
        _ number: UInt64?,
        upTo end: LogMark,
        hasEnded: (Target) -> Bool = { _ in false }
    ) -> Target? {
        state.withLock { state in
            if let number, let target = state.targets.first(where: { $0.number == number }) {
                return target
            }
            state.targets.removeAll(where: hasEnded)
            guard state.targets.count < Self.maximumTargets else { return nil }
            state.lastNumber += 1
            let target = Target(number: state.lastNumber, source: end)
            state.targets.append(target)
            return target
        }
    }

    /// Gives those whose source is passed their end in the outcome's log, which is `end` after that.
    ///
    /// - Returns: The last end that was given.
    func sourcePassed(_ hasPassed: (LogMark) -> Bool, end: () -> LogMark) -> LogMark? {
        state.withLock { state in
            var last: LogMark?
            for (index, target) in state.targets.enumerated()
            where target.outcome == nil && hasPassed(target.source) {
                last = end()
                state.targets[index].outcome = last
            }
            return last
        }
    }

    /// A flush as it is now.
    func current(_ target: Target) -> Target {
        state.withLock { state in
            state.targets.first { $0.number == target.number } ?? target
        }
    }

    /// Whether some wait for their source.
    var isWaiting: Bool { state.withLock { $0.targets.contains { $0.outcome == nil } } }
}
