internal import Foundation
package import Platform
internal import Records
internal import Synchronization

/// The server's data folder: what lies where, and the lock that keeps a second server out.
package final class DataFolder: Sendable {
    /// A folder that cannot be used, and why.
    package enum Failure: Error, CustomStringConvertible {
        case inUse(folder: String, process: String)
        case system(SystemError)

        package var description: String {
            switch self {
            case .inUse(let folder, let process):
                "the data folder \(folder) is in use by process \(process): stop that server, or "
                    + "choose another folder with --data-dir"
            case .system(let error): "the data folder cannot be used: \(error)"
            }
        }
    }

    /// The folder.
    package let path: String
    private let lock: File
    /// The folder of all streams.
    private let place: File

    /// Takes the folder, which is created if it is missing, for this process.
    package init(_ path: String) throws(Failure) {
        self.path = path
        do throws(SystemError) {
            try Folder.create(path)
            lock = try File(path + "/lock", .openOrCreate)
            try Folder.create(path + "/streams")
            place = try File(path + "/streams", .read)
        } catch {
            throw .system(error)
        }
        try Self.take(lock, of: path)
        do throws(SystemError) {
            try lock.resize(to: 0)
            try lock.write(Array("\(getpid())".utf8), at: 0)
            for folder in [spool, unfinished] { try Folder.remove(folder) }
            for folder in [spool, setAside, unfinished] { try Folder.create(folder) }
        } catch {
            throw .system(error)
        }
    }

    private static func take(_ lock: File, of folder: String) throws(Failure) {
        let owner: String
        do throws(SystemError) {
            if try lock.tryLock() { return }
            owner = String(decoding: try lock.read(32, at: 0), as: UTF8.self)
        } catch {
            throw .system(error)
        }
        throw .inUse(folder: folder, process: owner)
    }

    /// Lets other processes have the folder; nothing in it may be touched after.
    package func release() { lock.unlock() }

    private struct Look {
        var at: ContinuousClock.Instant
        var isInPlace: Bool
    }
    private let lastLook = Mutex<Look?>(nil)
    private static let lookLasts: Duration = .milliseconds(500)

    /// Whether the folder that was taken, and that of its streams, are what is found at their paths, as of
    /// half a second ago at the most.
    ///
    /// One that was removed, moved or hidden by a mount still takes what is written to files that are open,
    /// and no start would find it.
    package var isInPlace: Bool {
        let now = ContinuousClock.now
        return lastLook.withLock { last in
            if let last, last.at.duration(to: now) < Self.lookLasts { return last.isInPlace }
            let isInPlace = lock.isInPlace && place.isInPlace
            last = Look(at: now, isInPlace: isInPlace)
            return isInPlace
        }
    }

    /// Makes a file durable, and removes it again: what a put needs.
    ///
    /// Blocks.
    ///
    /// - Throws: `SystemError` with what the disk says.
    package func tryWriting() throws(SystemError) {
        guard lock.isInPlace, place.isInPlace else {
            throw SystemError(.stat, path: self.path, code: ESTALE)
        }
        let path = unfinished + "/try"
        if let free = Folder.freeBytes(at: unfinished), free < Limits.minimumFreeDiskBytes {
            throw SystemError(.allocate, path: self.path, code: ENOSPC)
        }
        let file = try File(path, .replace)
        try file.write([UInt8](repeating: 0, count: 4096), at: 0)
        try file.sync()
        try Folder.remove(path)
    }

    /// A folder for each stream.
    package var streams: String { path + "/streams" }
    /// What the names of those end with.
    static let streamSuffix = ".stream"
    /// The folder of a stream.
    func stream(_ name: String) -> String { streams + "/" + name + Self.streamSuffix }
    /// Streams that are being created or deleted; emptied at start.
    package var unfinished: String { path + "/unfinished" }
    /// Used log segments that wait for their next use.
    package var spareSegments: String { path + "/spare" }
    /// Objects that are on their way; emptied at start.
    package var spool: String { path + "/spool" }
    /// What could not be delivered in time, and what could not be read.
    package var setAside: String { path + "/set-aside" }
}
