internal import Glibc
internal import Logging
internal import Platform
internal import Records
internal import Synchronization

/// Configurations in a data folder, each in the folder of its stream, with all that delivery keeps for it.
///
/// The folder is this process's alone: so revisions need not be on disk.
final class FileStreamStore: StreamStore {
    private enum Entry {
        case stored(revision: UInt64)
        /// A change is being written.
        case changing
    }
    private struct State {
        var entries: [String: Entry] = [:]
        var lastRevision: UInt64 = 0

        mutating func nextRevision() -> UInt64 {
            lastRevision += 1
            return lastRevision
        }
    }

    private let folder: DataFolder
    private let logger: Logger
    private let state = Mutex(State())

    init(_ folder: DataFolder, _ logger: Logger) {
        self.folder = folder
        self.logger = logger
    }

    func load() throws -> [StoredStream] {
        try Folder.list(folder.streams).filter { $0.hasSuffix(DataFolder.streamSuffix) }
            .map { file in
                let name = String(file.dropLast(DataFolder.streamSuffix.count))
                let (stream, failure) = try load(name)
                let revision = state.withLock { state in
                    let revision = state.nextRevision()
                    state.entries[name] = .stored(revision: revision)
                    return revision
                }
                return StoredStream(
                    StreamDocument(stream: stream, revision: revision),
                    failure: failure
                )
            }
    }

    /// The stream, or why its configuration cannot be used.
    private func load(_ name: String) throws -> (DeliveryStream, failure: String?) {
        do {
            return (try StreamFile.load(folder.stream(name), of: name), nil)
        } catch let error as StreamFile.Failure where !error.isOfLaterVersion {
            return (.unknown(name), "\(error)")
        }
    }

    func contains(_ name: String) -> Bool { Folder.exists(folder.stream(name)) }

    func put(_ stream: DeliveryStream, over revision: UInt64?) throws -> StreamDocument {
        let name = stream.name
        let new = try change(name, revision) {
            if revision == nil {
                try create(stream)
            } else {
                try replace(stream)
            }
        } whenFailed: { new, error in
            // A creation that failed and could not be undone: the stream must be found to be deleted.
            guard revision == nil, contains(name) else { return }
            state.withLock { $0.entries[name] = .stored(revision: new) }
            throw StreamLeftBehind(
                document: StreamDocument(stream: stream, revision: new),
                cause: "\(error)"
            )
        }
        state.withLock { $0.entries[name] = .stored(revision: new) }
        return StreamDocument(stream: stream, revision: new)
    }

    func remove(_ name: String, _ revision: UInt64) throws {
        let gone = folder.unfinished + "/deleting-" + name
        _ = try change(name, revision) {
            try Folder.remove(gone)
            try rename(folder.stream(name), to: gone)
        }
        state.withLock { $0.entries[name] = nil }
        try Folder.remove(gone)
    }

    /// Gives a stream's folder another name, durably, or leaves it the one it has.
    private func rename(_ path: String, to new: String) throws(SystemError) {
        try Folder.rename(path, to: new)
        do {
            try Folder.sync(folder.streams)
        } catch {
            // Else the next start would find what was answered not to have happened.
            do {
                try Folder.rename(new, to: path)
                try Folder.sync(folder.streams)
            } catch let second {
                notUndone(path, error, second)
            }
            throw error
        }
    }

    private func notUndone(_ path: String, _ error: any Error, _ second: any Error) {
        logger.error(
            "a change that failed could not be undone: a power failure may bring back either state",
            metadata: ["path": "\(path)", "error": "\(error)", "undo": "\(second)"]
        )
    }

    /// A configuration in the place of another: the one or the other, also where the disk fails.
    private func replace(_ stream: DeliveryStream) throws {
        let path = folder.stream(stream.name)
        let old = try StreamFile.content(path)
        do {
            try StreamFile.store(stream, path)
        } catch {
            // The new one may be in its place already, though not durably.
            do {
                if try StreamFile.content(path) != old { try StreamFile.write(old, path) }
            } catch let second {
                notUndone(path, error, second)
                // Where it stays, it is in effect, and is answered so.
                if let content = try? StreamFile.content(path), content != old { return }
            }
            throw error
        }
    }

    /// A folder with the configuration in it is there as a whole, or not at all.
    private func create(_ stream: DeliveryStream) throws {
        let temporary = folder.unfinished + "/creating-" + stream.name
        try Folder.remove(temporary)
        try Folder.create(temporary)
        try StreamFile.store(stream, temporary)
        try rename(temporary, to: folder.stream(stream.name))
    }

    /// Writes a change of what a revision is of; the entry is the caller's if it succeeds.
    ///
    /// - Returns: A new revision.
    private func change(
        _ name: String,
        _ revision: UInt64?,
        _ write: () throws -> Void,
        whenFailed: (_ new: UInt64, any Error) throws -> Void = { _, _ in }
    ) throws -> UInt64 {
        guard folder.isInPlace else {
            throw SystemError(.stat, path: folder.path, code: ESTALE)
        }
        let (old, new) = try state.withLock { state in
            let old = state.entries[name]
            switch (old, revision) {
            case (nil, nil): break
            case (.stored(let stored), let revision?) where stored == revision: break
            default: throw StreamConflict(name: name)
            }
            state.entries[name] = .changing
            return (old, state.nextRevision())
        }
        do {
            try write()
        } catch {
            state.withLock { $0.entries[name] = old }
            try whenFailed(new, error)
            throw error
        }
        return new
    }
}
