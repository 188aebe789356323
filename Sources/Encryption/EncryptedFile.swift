package import Platform
internal import Synchronization

/// A file whose content is encrypted in chunks, so that it can be read from any place on.
///
/// Layout: a header of 4096 bytes (magic `HYDRSEA1`, the content's length as 8 bytes little endian,
/// the wrapped data key, zeros), then chunks of 64 KiB of content, each with its tag of 16 bytes. A
/// chunk's number is its place; its context is a byte that is 1 for the last chunk.
package final class EncryptedFile: ByteSource {
    static let magic = Array("HYDRSEA1".utf8)
    static let headerBytes = 4096
    /// Bytes of content that are encrypted as one; a write of half of it, or of less, is whole or not at all
    /// where all before it were halves.
    package static let chunkBytes = 64 * 1024
    /// What data keys of files are wrapped for.
    static let purpose = Array("hydrant sealed file".utf8)

    /// A file that cannot be opened, and why.
    package enum Failure: Error, CustomStringConvertible {
        case notEncrypted(path: String)
        case key(KeyFailure)
        case system(SystemError)

        package var description: String {
            switch self {
            case .notEncrypted(let path): "\(path) is not a sealed file"
            case .key(let failure): failure.description
            case .system(let error): error.description
            }
        }
    }

    /// The file as it lies on disk.
    package let file: File
    /// Bytes of the content.
    package let byteCount: UInt64
    private let key: DataKey
    /// The last chunk that was opened: readers go forward in smaller steps.
    private let opened = Mutex<(index: UInt64, bytes: [UInt8])?>(nil)

    fileprivate init(file: File, byteCount: UInt64, key: DataKey) {
        self.file = file
        self.byteCount = byteCount
        self.key = key
    }

    /// Opens an encrypted file with the master key that its data key is wrapped by.
    package convenience init(_ file: File, _ masterKeys: MasterKeys) throws(Failure) {
        let header: [UInt8]
        do {
            header = try file.read(Self.headerBytes, at: 0)
        } catch {
            throw .system(error)
        }
        guard header.count == Self.headerBytes, header.starts(with: Self.magic),
            let wrapped = WrappedKey(bytes: header[16..<16 + WrappedKey.byteCount])
        else { throw .notEncrypted(path: file.path) }
        let count = (0..<8).reduce(UInt64(0)) { $0 | UInt64(header[8 + $1]) << (8 * UInt64($1)) }
        do {
            let key = try masterKeys.unwrap(wrapped, for: Self.purpose)
            self.init(file: file, byteCount: count, key: key)
        } catch {
            throw .key(error)
        }
        do {
            // The length is what the last chunk says: none is shorter than it was.
            _ = try chunk(count == 0 ? 0 : (count - 1) / UInt64(Self.chunkBytes))
        } catch {
            throw .system(error)
        }
    }

    /// Reads content at `offset`; fewer bytes than there is space for at the end of a chunk.
    package func read(
        into space: UnsafeMutableRawBufferPointer,
        at offset: UInt64
    )
        throws(SystemError) -> Int
    {
        guard offset < byteCount else { return 0 }
        let index = offset / UInt64(Self.chunkBytes)
        let bytes = try chunk(index)
        let start = Int(offset - index * UInt64(Self.chunkBytes))
        let count = min(space.count, bytes.count - start)
        space.copyBytes(from: bytes[start..<start + count])
        return count
    }

    private func chunk(_ index: UInt64) throws(SystemError) -> [UInt8] {
        if let last = opened.withLock({ $0 }), last.index == index { return last.bytes }
        let start = index * UInt64(Self.chunkBytes)
        let count = Int(min(UInt64(Self.chunkBytes), byteCount - start))
        let encrypted = try file.read(
            count + DataKey.tagBytes,
            at: UInt64(Self.headerBytes) + index * UInt64(Self.chunkBytes + DataKey.tagBytes)
        )
        var bytes = [UInt8](repeating: 0, count: count)
        let isGenuine = encrypted.withUnsafeBytes { encrypted in
            bytes.withUnsafeMutableBytes { space in
                key.open(
                    encrypted,
                    number: index,
                    authenticating: Self.context(isLast: start + UInt64(count) == byteCount),
                    into: space
                )
            }
        }
        guard isGenuine else { throw SystemError(.read, path: file.path, code: 74) }  // EBADMSG
        opened.withLock { $0 = (index, bytes) }
        return bytes
    }

    /// Ties a chunk to the whole: a file that was cut ends with a chunk that is not the last.
    private static func context(isLast: Bool) -> [UInt8] { [isLast ? 1 : 0] }

    /// Writes an encrypted file, front to back.
    package struct Writer: ~Copyable {
        private let file: File
        private let key = DataKey()
        private let wrapped: WrappedKey
        /// A chunk, and behind it space for its encrypted form.
        private let space: UnsafeMutableRawBufferPointer
        private var used = 0
        private var chunks: UInt64 = 0

        /// Writes into an empty file.
        package init(_ file: File, _ masterKeys: MasterKeys) {
            self.file = file
            wrapped = masterKeys.wrap(key, for: EncryptedFile.purpose)
            space = .allocate(
                byteCount: 2 * EncryptedFile.chunkBytes + DataKey.tagBytes,
                alignment: 16
            )
        }

        deinit { space.deallocate() }

        /// Appends content.
        package mutating func write(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
            var rest = bytes
            while !rest.isEmpty {
                // A full chunk waits until it is known not to be the last.
                if used == EncryptedFile.chunkBytes { try flush(isLast: false) }
                let count = min(rest.count, EncryptedFile.chunkBytes - used)
                UnsafeMutableRawBufferPointer(rebasing: space[used..<used + count])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<count]))
                used += count
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
        }

        private mutating func flush(isLast: Bool) throws(SystemError) {
            let start = EncryptedFile.chunkBytes
            let encrypted = UnsafeMutableRawBufferPointer(
                rebasing: space[start..<start + used + DataKey.tagBytes]
            )
            key.encrypt(
                UnsafeRawBufferPointer(rebasing: space[..<used]),
                number: chunks,
                authenticating: EncryptedFile.context(isLast: isLast),
                into: encrypted
            )
            let place = chunks * UInt64(EncryptedFile.chunkBytes + DataKey.tagBytes)
            try file.write(
                UnsafeRawBufferPointer(encrypted),
                at: UInt64(EncryptedFile.headerBytes) + place
            )
            chunks += 1
            used = 0
        }

        /// Ends the file.
        ///
        /// - Returns: What was written, to be read.
        package consuming func finish() throws(SystemError) -> EncryptedFile {
            let count = chunks * UInt64(EncryptedFile.chunkBytes) + UInt64(used)
            // An empty file has a last chunk as well, which says that it is empty.
            if used > 0 || chunks == 0 { try flush(isLast: true) }
            var header = EncryptedFile.magic
            for index in 0..<8 { header.append(UInt8(truncatingIfNeeded: count >> (8 * index))) }
            header += wrapped.bytes
            header += [UInt8](repeating: 0, count: EncryptedFile.headerBytes - header.count)
            try file.write(header, at: 0)
            return EncryptedFile(file: file, byteCount: count, key: key)
        }
    }
}
