internal import Encryption
internal import Records
internal import Synchronization

/// The layout of an encrypted frame's payload: the data key's id, the first chunk's number, then chunks
/// with their tags.
///
/// In chunks, so that what the cipher needs beside them stays small, and in the caches.
enum EncryptedPayload {
    static let headBytes = 16
    static let chunkBytes = 64 * 1024

    /// How many chunks a payload is encrypted in.
    static func chunks(ofPlain count: Int) -> Int { (count + chunkBytes - 1) / chunkBytes }

    /// Bytes of a payload when it is encrypted.
    static func byteCount(ofPlain count: Int) -> Int {
        headBytes + count + chunks(ofPlain: count) * DataKey.tagBytes
    }

    /// Bytes of an encrypted payload's content.
    static func plainBytes(ofEncrypted count: Int) -> Int {
        let whole = chunkBytes + DataKey.tagBytes
        let body = max(0, count - headBytes)
        return max(0, body - (body + whole - 1) / whole * DataKey.tagBytes)
    }

    /// Where a chunk lies in the plain payload.
    static func plain(_ index: Int, of count: Int) -> Range<Int> {
        index * chunkBytes..<min(count, (index + 1) * chunkBytes)
    }

    /// Where the same chunk lies in the encrypted payload.
    static func encrypted(_ index: Int, _ plain: Range<Int>) -> Range<Int> {
        let start = headBytes + index * (chunkBytes + DataKey.tagBytes)
        return start..<start + plain.count + DataKey.tagBytes
    }
}

/// Memory for the encrypted payloads of one group, used again by the next.
///
/// Unchecked because who took it from the pool is alone with it.
final class EncryptionSpace: @unchecked Sendable {
    private var block: UnsafeMutableRawBufferPointer?
    private var used = 0

    deinit { block?.deallocate() }

    /// Begins a group whose payloads take at most so many bytes.
    func begin(_ count: Int) {
        used = 0
        guard (block?.count ?? 0) < count else { return }
        block?.deallocate()
        block = .allocate(byteCount: count, alignment: 16)
    }

    /// The next so many bytes, and the same with zeros behind them up to the alignment of frames.
    func next(
        _ count: Int
    ) -> (
        space: UnsafeMutableRawBufferPointer, padded: UnsafeRawBufferPointer
    ) {
        guard let block else { preconditionFailure("a group was begun") }
        let end = used + RecordBatch.padded(count)
        let padded = UnsafeMutableRawBufferPointer(rebasing: block[used..<end])
        for index in count..<padded.count { padded[index] = 0 }
        used = end
        return (
            UnsafeMutableRawBufferPointer(rebasing: padded[..<count]),
            UnsafeRawBufferPointer(padded)
        )
    }
}

/// The spaces of all logs of a store: one for each thread that writes at a time.
final class EncryptionSpaces: Sendable {
    private let free = Mutex<[EncryptionSpace]>([])

    func take() -> EncryptionSpace { free.withLock { $0.popLast() } ?? EncryptionSpace() }

    func giveBack(_ space: EncryptionSpace) { free.withLock { $0.append(space) } }
}
