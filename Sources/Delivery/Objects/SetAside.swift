internal import Destinations
internal import Encryption
internal import Platform
internal import Records
internal import Synchronization

/// The place on disk for what could not be delivered: nothing is dropped.
final class SetAside: Sendable {
    /// `hydrant unseal` opens files that end so.
    private static let encryptedSuffix = ".sealed"

    private let folder: String
    private let totalRecords = Mutex(0)

    /// Keeps one stream's things in `folder`, which is created when it is needed.
    init(folder: String) { self.folder = folder }

    /// Stores an object under its bucket and key, as it would have been delivered; an encrypted one stays
    /// encrypted, and is named so.
    ///
    /// Blocks.
    ///
    /// - Returns: Where it lies, and how many records this process has set aside for the stream.
    func keep(
        _ object: SpooledObject,
        as plan: ObjectPlan,
        records: Int
    ) throws(SystemError) -> (
        path: String, totalRecords: Int
    ) {
        var object = object
        var key = plan.key
        if let encrypted = object.content as? EncryptedFile {
            key += Self.encryptedSuffix
            object.content = encrypted.file
            object.byteCount = try encrypted.file.size()
        }
        let path = folder + "/" + LocalBucketStore.path(bucket: plan.bucket, key: key)
        try Folder.create(folder)
        try LocalBucketStore.store(object, temporary: folder + "/.\(plan.uuid)", path: path)
        let total = totalRecords.withLock { total in
            total += records
            return total
        }
        return (path, total)
    }

    /// Stores what is left of a damaged range that a reader of a name found.
    ///
    /// Blocks.
    func keep(_ damage: LogDamage, of reader: String) throws(SystemError) -> String {
        let path = "\(folder)/damaged/\(reader)-\(damage.start)-\(damage.end).bin"
        try Folder.create(folder + "/damaged")
        try Folder.replaceFile(path, with: damage.bytes)
        return path
    }
}
