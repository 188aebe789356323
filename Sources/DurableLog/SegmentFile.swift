internal import Glibc
internal import Platform
internal import Synchronization

/// A segment's file, which is open only while it is used.
final class SegmentFile: Sendable {
    /// Where it is.
    let path: String
    private let mode: File.Mode
    private let files: SegmentFiles
    private struct State {
        var file: File?
        /// Since `SegmentFiles` last looked.
        var isUsed = false
    }
    private let state = Mutex(State())

    /// A file that is there already; it is opened when it is first used.
    init(_ path: String, _ mode: File.Mode, _ files: SegmentFiles) {
        self.path = path
        self.mode = mode
        self.files = files
    }

    /// The open file: it stays so for as long as the caller holds it.
    func open() throws(SystemError) -> File {
        let known = state.withLock { state in
            state.isUsed = true
            return state.file
        }
        if let known { return known }
        let opened = try files.open(path, mode)
        let (file, isNew) = state.withLock { state -> (File, Bool) in
            if let other = state.file { return (other, false) }
            state.file = opened
            return (opened, true)
        }
        if isNew { files.add(self) }
        return file
    }

    /// Whether it was used since this was asked last.
    fileprivate func takeUse() -> Bool {
        state.withLock { state in
            defer { state.isUsed = false }
            return state.isUsed
        }
    }

    /// Closes it, as soon as nobody holds it.
    func close() {
        // Outside of the lock: closing may take a while.
        let file = state.withLock { state in
            defer { state.file = nil }
            return state.file
        }
        _ = file
    }
}

extension SegmentFile {
    /// Bytes that it takes.
    func size() throws(SystemError) -> UInt64 { try open().size() }

    /// See `File`.
    func salvage(
        into buffer: UnsafeMutableRawBufferPointer,
        at offset: UInt64
    ) throws(SystemError) -> (count: Int, failure: SystemError?) {
        try open().salvage(into: buffer, at: offset)
    }

    /// See `File`.
    func salvage(
        _ count: Int,
        at offset: UInt64
    ) throws(SystemError) -> (bytes: [UInt8], failure: SystemError?) {
        try open().salvage(count, at: offset)
    }

    /// Gives its pages back, where it is open.
    func dropFromMemory() { state.withLock { $0.file }?.dropFromMemory() }
}

/// The segment files of all logs that are open: so many at the most, and none that is not used.
final class SegmentFiles: Sendable {
    private struct Entry {
        weak var file: SegmentFile?
    }
    private let maximum: Int
    /// From the one that was opened or looked at longest ago.
    private let entries = Mutex<[Entry]>([])

    /// At most so many are open, beside those that are held at the moment.
    init(maximum: Int) { self.maximum = max(1, maximum) }

    /// Opens a file; where there are no descriptors left, in the place of others.
    func open(_ path: String, _ mode: File.Mode) throws(SystemError) -> File {
        do throws(SystemError) {
            return try File(path, mode)
        } catch {
            guard error.isOutOfDescriptors else { throw error }
            let others = entries.withLock { entries in
                defer { entries = [] }
                return entries.compactMap(\.file)
            }
            for other in others { other.close() }
            return try File(path, mode)
        }
    }

    fileprivate func add(_ file: SegmentFile) {
        let surplus = entries.withLock { entries -> [SegmentFile] in
            if entries.count >= maximum { entries.removeAll { $0.file == nil } }
            var surplus: [SegmentFile] = []
            // Each gets a second chance.
            var looks = 2 * entries.count
            while entries.count >= maximum, looks > 0 {
                looks -= 1
                let entry = entries.removeFirst()
                guard let old = entry.file else { continue }
                if old.takeUse() { entries.append(entry) } else { surplus.append(old) }
            }
            entries.append(Entry(file: file))
            return surplus
        }
        for old in surplus { old.close() }
    }

    /// Closes those that were not used since the last call.
    func closeUnused() {
        let unused = entries.withLock { entries -> [SegmentFile] in
            var unused: [SegmentFile] = []
            entries.removeAll { entry in
                guard let file = entry.file else { return true }
                if file.takeUse() { return false }
                unused.append(file)
                return true
            }
            return unused
        }
        for file in unused { file.close() }
    }

    /// How many are open.
    var openCount: Int { entries.withLock { $0.count { $0.file != nil } } }
}
