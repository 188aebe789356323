internal import Platform
internal import Records
internal import Synchronization

/// Segments that every reader has passed, kept for the next that is needed: their blocks are on disk
/// already, so that a sync has no metadata to write.
final class SegmentPool: Sendable {
    private let folder: String
    private let maximumCount: Int
    private let state: Mutex<State>

    private struct State {
        var paths: [String]
        var lastNumber = 0
    }

    /// Keeps files in `folder`, all of one size; what a former process left there is removed, as its size
    /// is not known to be the same.
    init(folder: String, maximumCount: Int) throws(SystemError) {
        self.folder = folder
        self.maximumCount = maximumCount
        try Folder.create(folder)
        for name in try Folder.list(folder) { try Folder.remove(folder + "/" + name) }
        state = Mutex(State(paths: []))
    }

    /// A used segment's path, now the caller's.
    func take() -> String? { state.withLock { $0.paths.popLast() } }

    /// Takes over the file at `path`, or removes it where there are enough.
    func give(_ path: String) throws(SystemError) {
        let target: String? = state.withLock { state in
            guard state.paths.count < maximumCount else { return nil }
            state.lastNumber += 1
            return folder + "/\(state.lastNumber)" + Segment.suffix
        }
        guard let target else { return try Folder.remove(path) }
        try Folder.rename(path, to: target)
        state.withLock { $0.paths.append(target) }
    }
}
