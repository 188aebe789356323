internal import Glibc
package import Platform
package import Records

/// Buckets as folders: the embedded default, which needs no other server.
///
/// A key is the path in the bucket's folder. What a file system cannot hold in a path (empty names,
/// `.` and `..`) is percent-encoded, so that no key leads out of the bucket; a name of more than 255
/// bytes keeps its end, behind a checksum of the whole.
package final class LocalBucketStore: ObjectStore {
    /// Unfinished files; not a possible bucket name at S3, which begins with a letter or digit.
    private static let incoming = ".incoming"

    let folder: String
    let threads: WorkerThreads

    /// Buckets in `folder`, each created with its first object.
    package init(folder: String, threads: WorkerThreads) throws(SystemError) {
        self.folder = folder
        self.threads = threads
        try Folder.create(folder)
        try Folder.create(folder + "/" + Self.incoming)
    }

    package func put(_ object: SpooledObject, as plan: ObjectPlan) async throws -> DeliveryOutcome {
        let temporary = "\(folder)/\(Self.incoming)/\(plan.uuid)"
        let path = "\(folder)/\(Self.path(bucket: plan.bucket, key: plan.key))"
        return try await threads.run { _ in
            do throws(SystemError) {
                try Self.store(object, temporary: temporary, path: path)
                return .delivered
            } catch {
                unlink(temporary)
                return .failed(
                    DeliveryFailure(
                        code: error.isDiskFull ? "LocalBucket.DiskFull" : "LocalBucket.Error",
                        message: "\(error)"
                    )
                )
            }
        }
    }

    /// Copies an object to `path`, so that it is there whole or not at all: temporary file, sync,
    /// rename, sync of the folder.
    ///
    /// Blocks.
    package static func store(
        _ object: SpooledObject,
        temporary: String,
        path: String
    )
        throws(SystemError)
    {
        guard let parent = Folder.parent(of: path) else {
            throw SystemError(.open, path: path, code: EINVAL)
        }
        let file = try File(temporary, .replace)
        let space = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        defer { space.deallocate() }
        var place: UInt64 = 0
        while place < object.byteCount {
            let count = try object.content.read(into: space, at: place)
            guard count > 0 else { throw SystemError(.read, path: temporary, code: EIO) }
            try file.write(UnsafeRawBufferPointer(rebasing: space[..<count]), at: place)
            place += UInt64(count)
        }
        try file.sync()
        try Folder.create(parent)
        try Folder.rename(temporary, to: path)
        try Folder.sync(parent)
    }

    /// Where a key lies, relative to the folder of all buckets.
    package static func path(bucket: String, key: String) -> String {
        // By bytes: a slash with a combining mark is one character, and still a slash to the system.
        let names = key.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            .map { pathComponent(String($0) ?? "") }
        // Names of this server's own in the folder of all buckets begin with a dot.
        let folder = pathComponent(bucket)
        let first = folder.hasPrefix(".") ? "%2E" + folder.dropFirst() : folder
        return ([first] + names).joined(separator: "/")
    }

    /// One name in a path for any text without a slash.
    package static func pathComponent(_ text: String) -> String {
        switch text {
        case "": return "%"
        case ".": return "%2E"
        case "..": return "%2E%2E"
        default: break
        }
        let name = text.split(separator: "\0", omittingEmptySubsequences: false)
            .joined(separator: "%00")
        guard name.utf8.count > 255 else { return name }
        let checksum = String(CRC32C.checksum(Array(name.utf8)), radix: 16)
        // The end has the stream, the time and the UUID.
        var end = name.suffix(240)
        while end.utf8.count > 240 { end.removeFirst() }
        return "~\(checksum)~\(end)"
    }
}
