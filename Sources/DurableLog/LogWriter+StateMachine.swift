/// Decides when a log is written: what waits, what is written next, what is refused.
///
/// At most one group of items is being written at a time; what arrives meanwhile forms the next
/// (group commit). Generic over the item, of which it only knows the bytes.
struct LogWriterStateMachine<Item> {
    private enum State {
        case resting
        case writing
        /// Closed while a group was being written.
        case closing
        case closed
    }

    private var state = State.resting
    private var queue: [(item: Item, bytes: Int)] = []
    private(set) var queuedBytes = 0
    private let maximumQueuedBytes: Int
    private let maximumGroupBytes: Int

    init(maximumQueuedBytes: Int, maximumGroupBytes: Int) {
        self.maximumQueuedBytes = maximumQueuedBytes
        self.maximumGroupBytes = maximumGroupBytes
    }

    enum AppendAction: Equatable {
        /// Have a thread take groups until it is told to rest.
        case startWriting
        /// A thread is at it and will come to this item.
        case none
        /// Too much waits already.
        case rejectFull
        case rejectClosed
    }

    mutating func append(_ item: Item, bytes: Int) -> AppendAction {
        switch state {
        case .closing, .closed:
            return .rejectClosed
        case .resting:
            enqueue(item, bytes)
            state = .writing
            return .startWriting
        case .writing:
            guard queuedBytes + bytes <= maximumQueuedBytes else { return .rejectFull }
            enqueue(item, bytes)
            return .none
        }
    }

    /// The items to write next, in order of arrival: one at least, more up to the group's bytes.
    mutating func takeGroup() -> [Item] {
        var bytes = 0
        var count = 0
        while count < queue.count, count == 0 || bytes + queue[count].bytes <= maximumGroupBytes {
            bytes += queue[count].bytes
            count += 1
        }
        let group = queue.prefix(count).map(\.item)
        queue.removeFirst(count)
        queuedBytes -= bytes
        return group
    }

    /// Begins work on the files that is no group, where nothing else is under way; `groupEnded` ends it.
    ///
    /// What arrives meanwhile waits for it, and so does a close.
    mutating func beginUpkeep() -> Bool {
        guard case .resting = state else { return false }
        state = .writing
        return true
    }

    enum GroupEndAction: Equatable {
        case writeNext
        case rest
        /// All is written and the log is to be closed.
        case finishClosing
    }

    mutating func groupEnded() -> GroupEndAction {
        switch state {
        case .writing where !queue.isEmpty, .closing where !queue.isEmpty:
            return .writeNext
        case .writing, .resting:
            state = .resting
            return .rest
        case .closing, .closed:
            state = .closed
            return .finishClosing
        }
    }

    enum CloseAction: Equatable {
        /// Nothing is under way: close now.
        case finishClosing
        /// What was accepted is written first; `groupEnded` will say when.
        case waitForWriter
        case none
    }

    mutating func close() -> CloseAction {
        switch state {
        case .resting:
            state = .closed
            return .finishClosing
        case .writing:
            state = .closing
            return .waitForWriter
        case .closing, .closed:
            return .none
        }
    }

    private mutating func enqueue(_ item: Item, _ bytes: Int) {
        queue.append((item, bytes))
        queuedBytes += bytes
    }
}
