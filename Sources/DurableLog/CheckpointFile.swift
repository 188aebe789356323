internal import Logging
internal import Platform
internal import Records

/// A reader's checkpoint on disk: two slots, written in turn, so that a torn write leaves the
/// other.
///
/// `Format.md` has the layout.
struct CheckpointFile: Sendable {
    static let suffix = ".checkpoint"
    /// Slots stand on blocks of their own, so that one torn block cannot spoil both.
    static let slotBytes = 4096
    static let usedBytes = 64
    static let magic: UInt64 = 0x3154_5043_5244_5948  // "HYDRCPT1"
    static let version: UInt32 = 1

    private let path: String

    /// The file at `path`, which is open only while it is read or written.
    init(_ path: String) { self.path = path }

    /// Creates it, empty.
    func create() throws(SystemError) { _ = try File(path, .create) }

    /// The newer valid slot, or nil in a new file; `isDamaged` where a file has content but no slot
    /// can be read.
    ///
    /// Where the storage cannot give one of the two, the other counts, and `failure` says that it may be the
    /// older.
    func load() throws(SystemError) -> Content {
        let (bytes, failure) = try File(path, .read).salvage(2 * Self.slotBytes, at: 0)
        let slots = [0, 1].compactMap { Slot(bytes, at: $0 * Self.slotBytes) }
        let newest = slots.max { $0.sequence < $1.sequence }
        let isDamaged = newest == nil && (failure != nil || bytes.contains { $0 != 0 })
        return Content(slot: newest, isDamaged: isDamaged, failure: failure)
    }

    /// What a file holds.
    struct Content {
        var slot: Slot?
        var isDamaged: Bool
        var failure: SystemError?
    }

    /// Writes a slot and syncs it, whatever the log's durability.
    ///
    /// What is delivered may be forgotten elsewhere as soon as this returns.
    func store(_ slot: Slot) throws(SystemError) {
        let file = try File(path, .update)
        try file.write(slot.encoded, at: UInt64(slot.sequence % 2) * UInt64(Self.slotBytes))
        try file.sync()
    }

    struct Slot: Equatable {
        /// Rises by one with every write; its parity chooses the slot.
        var sequence: UInt64
        var mark: LogMark
        /// The log's own number, should all its segments' headers be lost.
        var logIdentity: UInt64

        init(sequence: UInt64, mark: LogMark, logIdentity: UInt64) {
            self.sequence = sequence
            self.mark = mark
            self.logIdentity = logIdentity
        }

        init?(_ bytes: [UInt8], at offset: Int) {
            guard bytes.count >= offset + CheckpointFile.usedBytes else { return nil }
            let slot: Slot? = bytes.withUnsafeBytes { all in
                let buffer = UnsafeRawBufferPointer(
                    rebasing: all[offset..<offset + CheckpointFile.usedBytes]
                )
                let checked = UnsafeRawBufferPointer(rebasing: buffer[16...])
                guard buffer.load64(0) == magic, buffer.load32(8) == version,
                    buffer.load32(12) == CRC32C.checksum(checked)
                else { return nil }
                return Slot(
                    sequence: buffer.load64(16),
                    mark: LogMark(
                        position: LogPosition(
                            offset: buffer.load64(24),
                            record: buffer.load32(32)
                        ),
                        records: buffer.load64(40),
                        bytes: buffer.load64(48)
                    ),
                    logIdentity: buffer.load64(56)
                )
            }
            guard let slot else { return nil }
            self = slot
        }

        var encoded: [UInt8] {
            var bytes = [UInt8](repeating: 0, count: CheckpointFile.usedBytes)
            bytes.withUnsafeMutableBytes { buffer in
                buffer.store(magic, at: 0)
                buffer.store(version, at: 8)
                buffer.store(sequence, at: 16)
                buffer.store(mark.position.offset, at: 24)
                buffer.store(mark.position.record, at: 32)
                buffer.store(mark.records, at: 40)
                buffer.store(mark.bytes, at: 48)
                buffer.store(logIdentity, at: 56)
                let checked = UnsafeRawBufferPointer(rebasing: buffer[16...])
                buffer.store(CRC32C.checksum(checked), at: 12)
            }
            return bytes
        }
    }
}

extension CheckpointFile {
    /// A named reader.
    struct Reader {
        var file: CheckpointFile
        var slot: Slot

        /// One that goes on at its slot, or else at the log's beginning.
        ///
        /// It has a slot on disk from then on, which holds the log's number as well.
        init(
            _ file: CheckpointFile,
            _ slot: Slot?,
            from start: LogMark,
            of identity: UInt64
        ) throws(LogError) {
            self.init(
                file: file,
                slot: slot ?? Slot(sequence: 1, mark: start, logIdentity: identity)
            )
            guard slot == nil else { return }
            try LogError.catching { () throws(SystemError) in try file.store(self.slot) }
        }

        /// One whose slot is on disk.
        init(file: CheckpointFile, slot: Slot) {
            self.file = file
            self.slot = slot
        }
    }

    /// Opens a reader's file, or makes it.
    static func open(
        _ name: String,
        in folder: String,
        _ logger: Logger
    ) throws(LogError) -> (file: CheckpointFile, slot: Slot?) {
        let path = folder + "/" + name + suffix
        let (file, content) = try LogError.catching { () throws(SystemError) in
            let file = CheckpointFile(path)
            if !Folder.exists(path) {
                try file.create()
                try Folder.sync(folder)
            }
            return (file, try file.load())
        }
        if content.isDamaged { throw .damagedCheckpoint(path: path) }
        if let failure = content.failure {
            logger.error(
                "one of two checkpoint slots cannot be read: the last delivered records may be delivered again",
                metadata: ["path": "\(path)", "error": "\(failure)"]
            )
        }
        return (file, content.slot)
    }
}
