internal import Synchronization

/// A place in a row: who has it waits for the one before, and lets the next one go on.
final class Turn: Sendable {
    private enum State {
        case waiting(CheckedContinuation<Bool, Never>?)
        case over(isDone: Bool)
    }

    private let before: Mutex<Turn?>
    private let state = Mutex(State.waiting(nil))

    /// A place behind another, or the first.
    init(after before: Turn?) { self.before = Mutex(before) }

    /// Waits for the one before.
    ///
    /// - Throws: `CancellationError` where that one will never be done.
    func come() async throws {
        guard let before = before.withLock({ $0 }) else { return }
        guard await before.ended() else { throw CancellationError() }
        // A row that never ends must not be kept in memory.
        self.before.withLock { $0 = nil }
    }

    /// Lets the next one go on, or tells it that it never will.
    func end(isDone: Bool) {
        let waiter = state.withLock { state in
            defer { state = .over(isDone: isDone) }
            if case .waiting(let waiter) = state { return waiter }
            return nil
        }
        waiter?.resume(returning: isDone)
    }

    private func ended() async -> Bool {
        await withCheckedContinuation { continuation in
            let isDone: Bool? = state.withLock { state in
                if case .over(let isDone) = state { return isDone }
                state = .waiting(continuation)
                return nil
            }
            if let isDone { continuation.resume(returning: isDone) }
        }
    }
}
