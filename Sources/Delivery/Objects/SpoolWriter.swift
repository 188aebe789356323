internal import Crypto
internal import Destinations
internal import Encryption
internal import Platform

/// Writes an object's content, encrypted where there are keys to do it, and hashes it on the way.
struct SpoolWriter: ~Copyable {
    private let file: File
    private var encrypted: EncryptedFile.Writer?
    private var byteCount: UInt64 = 0
    private var hash = SHA256()

    init(file: File, masterKeys: MasterKeys?) {
        self.file = file
        if let masterKeys {
            encrypted = EncryptedFile.Writer(file, masterKeys)
        } else {
            encrypted = nil
        }
    }

    mutating func write(_ bytes: UnsafeRawBufferPointer) throws {
        if encrypted == nil {
            try file.write(bytes, at: byteCount)
        } else {
            try encrypted?.write(bytes)
        }
        hash.update(bufferPointer: bytes)
        byteCount += UInt64(bytes.count)
    }

    consuming func finish() throws -> SpooledObject {
        let sha256 = Array(hash.finalize())
        let byteCount = byteCount
        var content: any ByteSource = file
        if let encrypted { content = try encrypted.finish() }
        return SpooledObject(content: content, byteCount: byteCount, sha256: sha256)
    }
}
