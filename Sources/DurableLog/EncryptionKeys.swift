internal import Encryption
internal import Platform
internal import Records
internal import Synchronization

/// Encrypts and opens one log's frames: its data keys, in a file beside its segments.
///
/// Each process encrypts under a key of its own, made with its first encrypted frame: so the numbers that
/// frames are encrypted with, which a key must never see twice, need not outlive a process, nor be right
/// in a restored copy of the folder. `Format.md` has the layout.
final class EncryptionKeys: Sendable {
    static let fileName = "data-keys"
    private static let magic: UInt64 = 0x3159_454b_5244_5948  // "HYDRKEY1"
    private static let version: UInt32 = 1
    private static let headerBytes = 24
    private static let entryBytes = 96

    /// A data key, and where in the log it began to be used.
    private struct Entry {
        var id: UInt64
        var start: UInt64
        var wrapped: WrappedKey
    }

    private struct State {
        var isOn: Bool
        var entries: [Entry]
        var opened: [UInt64: DataKey]
        /// The key that frames are encrypted under now, and the next frame's number.
        var current: (id: UInt64, key: DataKey, next: UInt64)?
        /// Why frames can be neither encrypted nor opened.
        var failure: KeyFailure?
    }

    private let path: String
    private let purpose: [UInt8]
    private let masterKeys: MasterKeys?
    private let state: Mutex<State>

    /// Reads the keys of the log of that number in `folder`.
    init(
        folder: String,
        logIdentity: UInt64,
        masterKeys: MasterKeys?,
        isOn: Bool,
        hasEncryptedFrames: Bool
    ) throws(LogError) {
        path = folder + "/" + Self.fileName
        purpose = Self.purpose(logIdentity)
        self.masterKeys = masterKeys
        let (entries, isDamaged) = try Self.load(path)
        var opened: [UInt64: DataKey] = [:]
        var failure: KeyFailure? = isDamaged ? .damaged : nil
        if entries.isEmpty, hasEncryptedFrames { failure = failure ?? .missing }
        if masterKeys == nil, isOn || !entries.isEmpty { failure = failure ?? .noMasterKey }
        if let masterKeys {
            for entry in entries {
                do throws(KeyFailure) {
                    opened[entry.id] = try masterKeys.unwrap(entry.wrapped, for: purpose)
                } catch {
                    failure = failure ?? error
                }
            }
        }
        state = Mutex(State(isOn: isOn, entries: entries, opened: opened, failure: failure))
        if failure == nil { try LogError.catching { () throws(SystemError) in try rewrap() } }
    }

    /// Why a key of the file cannot be had, without changing anything.
    static func failure(
        _ folder: String,
        _ logIdentity: UInt64,
        _ masterKeys: MasterKeys?
    ) throws -> KeyFailure? {
        let (entries, isDamaged) = try load(folder + "/" + fileName)
        if isDamaged { return .damaged }
        guard let masterKeys else { return entries.isEmpty ? nil : .noMasterKey }
        let purpose = purpose(logIdentity)
        for entry in entries {
            do throws(KeyFailure) {
                _ = try masterKeys.unwrap(entry.wrapped, for: purpose)
            } catch {
                return error
            }
        }
        return nil
    }

    private static func purpose(_ logIdentity: UInt64) -> [UInt8] {
        withUnsafeBytes(of: logIdentity.littleEndian) { Array("hydrant log ".utf8) + $0 }
    }

    // MARK: State

    /// Whether new frames are encrypted.
    var isOn: Bool { state.withLock { $0.isOn } }

    /// Whether anything of the log is encrypted, or will be.
    var isInUse: Bool { state.withLock { $0.isOn || !$0.entries.isEmpty } }

    /// Why frames cannot be encrypted, as producers are told; nil where they can be, or need not.
    var problem: FirehoseError? {
        let failure = state.withLock { $0.isOn ? $0.failure : nil }
        return failure.map { FirehoseError(LogKeyFailure($0)) }
    }

    /// Why encrypted frames cannot be opened, nor new ones encrypted; nil where nothing is in the way.
    var failure: KeyFailure? { state.withLock { $0.failure } }

    /// Encrypts new frames from now on, under a new key; or leaves them as they are.
    ///
    /// - Throws: InvalidKMSResource where that cannot be done.
    func set(on isOn: Bool) throws(FirehoseError) {
        let failure = state.withLock { state -> KeyFailure? in
            let failure = state.failure ?? (masterKeys == nil ? .noMasterKey : nil)
            if isOn, let failure { return failure }
            state.isOn = isOn
            state.current = nil
            return nil
        }
        if let failure { throw FirehoseError(LogKeyFailure(failure)) }
    }

    // MARK: Frames

    /// Encrypts a frame's payload, and sets the checksum of its header, which is otherwise whole.
    ///
    /// - Parameters:
    ///   - payload: Prefixes and data, without padding.
    ///   - header: The frame's header, with the bytes of the encrypted payload.
    ///   - space: Where the encrypted payload goes.
    ///   - passed: The offset that every reader has passed: keys of frames before it are dropped.
    /// - Throws: Where a new key was needed and could not be stored.
    func encrypt(
        _ payload: UnsafeRawBufferPointer,
        of header: inout FrameHeader,
        into space: UnsafeMutableRawBufferPointer,
        passed: UInt64
    ) throws(SystemError) {
        let chunks = EncryptedPayload.chunks(ofPlain: payload.count)
        let (id, key, number) = try takeNumbers(chunks, at: header.offset, passed: passed)
        space.store(id, at: 0)
        space.store(number, at: 8)
        let context = header.authenticated
        for index in 0..<chunks {
            let plain = EncryptedPayload.plain(index, of: payload.count)
            let encrypted = EncryptedPayload.encrypted(index, plain)
            key.encrypt(
                UnsafeRawBufferPointer(rebasing: payload[plain]),
                number: number + UInt64(index),
                authenticating: context,
                into: UnsafeMutableRawBufferPointer(rebasing: space[encrypted])
            )
        }
        header.payloadChecksum = CRC32C.checksum(UnsafeRawBufferPointer(space))
    }

    /// Opens a frame's encrypted payload into a space of the plain one's size.
    ///
    /// - Returns: Whether it is genuine.
    /// - Throws: `LogError.encrypted` where its key cannot be had.
    func open(
        _ payload: UnsafeRawBufferPointer,
        of header: FrameHeader,
        into space: UnsafeMutableRawBufferPointer
    ) throws(LogError) -> Bool {
        let id = payload.load64(0)
        let number = payload.load64(8)
        let (key, failure) = state.withLock { ($0.opened[id], $0.failure) }
        guard let key else {
            // The checksum covers the id: it is the key that is lost, not the payload.
            throw .encrypted(path: path, failure ?? .missing)
        }
        let context = header.authenticated
        return (0..<EncryptedPayload.chunks(ofPlain: space.count)).allSatisfy { index in
            let plain = EncryptedPayload.plain(index, of: space.count)
            return key.open(
                UnsafeRawBufferPointer(rebasing: payload[EncryptedPayload.encrypted(index, plain)]),
                number: number &+ UInt64(index),
                authenticating: context,
                into: UnsafeMutableRawBufferPointer(rebasing: space[plain])
            )
        }
    }

    private func takeNumbers(
        _ count: Int,
        at offset: UInt64,
        passed: UInt64
    ) throws(SystemError) -> (id: UInt64, key: DataKey, number: UInt64) {
        let isMissing = state.withLock { $0.current == nil }
        if isMissing { try makeKey(at: offset, passed: passed) }
        return state.withLock { state in
            guard let current = state.current else {
                preconditionFailure("the one thread that writes made a key")
            }
            state.current?.next += UInt64(count)
            return (current.id, current.key, current.next)
        }
    }

    /// Makes a new key, durable before the first frame under it.
    private func makeKey(at offset: UInt64, passed: UInt64) throws(SystemError) {
        guard let masterKeys else {
            preconditionFailure("encryption is refused where there is no master key")
        }
        let key = DataKey()
        let wrapped = masterKeys.wrap(key, for: purpose)
        let entries = state.withLock { $0.entries }
        // A key's frames end where the next key's begin.
        let kept = entries.indices
            .filter { $0 + 1 == entries.count || entries[$0 + 1].start > passed }
            .map { entries[$0] }
        // Random, so that a file that lost its keys never gives an old id to a new key.
        let id = UInt64.random(in: 1...UInt64.max)
        let new = kept + [Entry(id: id, start: offset, wrapped: wrapped)]
        try store(new)
        state.withLock { state in
            state.entries = new
            state.opened[id] = key
            state.current = (id, key, 0)
        }
    }

    /// Wraps all keys by the current master key, so that older ones can be taken away.
    private func rewrap() throws(SystemError) {
        let (entries, opened) = state.withLock { ($0.entries, $0.opened) }
        guard let masterKeys, entries.contains(where: { !masterKeys.isCurrent($0.wrapped) }) else {
            return
        }
        var new = entries
        for index in new.indices {
            guard let key = opened[new[index].id] else { continue }
            new[index].wrapped = masterKeys.wrap(key, for: purpose)
        }
        try store(new)
        state.withLock { $0.entries = new }
    }

    // MARK: The file

    private static func load(_ path: String) throws(LogError) -> ([Entry], isDamaged: Bool) {
        guard Folder.exists(path) else { return ([], false) }
        let bytes = try LogError.catching { () throws(SystemError) in try Folder.readFile(path) }
        return bytes.withUnsafeBytes { all -> ([Entry], isDamaged: Bool) in
            guard all.count >= headerBytes, all.load64(0) == magic, all.load32(8) == version,
                CRC32C.checksum(UnsafeRawBufferPointer(rebasing: all[16...])) == all.load32(12),
                all.load64(16) == UInt64((all.count - headerBytes) / entryBytes)
            else { return ([], true) }
            var entries: [Entry] = []
            for start in stride(from: headerBytes, to: all.count, by: entryBytes) {
                let end = start + 16 + WrappedKey.byteCount
                guard end <= all.count, let wrapped = WrappedKey(bytes: all[start + 16..<end])
                else {
                    return ([], true)
                }
                entries.append(
                    Entry(id: all.load64(start), start: all.load64(start + 8), wrapped: wrapped)
                )
            }
            return (entries, false)
        }
    }

    private func store(_ entries: [Entry]) throws(SystemError) {
        var bytes = [UInt8](
            repeating: 0,
            count: Self.headerBytes + entries.count * Self.entryBytes
        )
        bytes.withUnsafeMutableBytes { space in
            space.store(Self.magic, at: 0)
            space.store(Self.version, at: 8)
            space.store(UInt64(entries.count), at: 16)
            for (index, entry) in entries.enumerated() {
                let start = Self.headerBytes + index * Self.entryBytes
                space.store(entry.id, at: start)
                space.store(entry.start, at: start + 8)
                UnsafeMutableRawBufferPointer(rebasing: space[(start + 16)...])
                    .copyBytes(from: entry.wrapped.bytes)
            }
            let checked = UnsafeRawBufferPointer(rebasing: space[16...])
            space.store(CRC32C.checksum(checked), at: 12)
        }
        try Folder.replaceFile(path, with: bytes, permissions: 0o600)
    }
}
