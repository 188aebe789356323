internal import Crypto

/// HMAC-SHA-256 with one key, prepared: the key's two blocks are hashed once (RFC 2104, section 4).
///
/// For signatures of small requests: swift-crypto's `HMAC` takes a message through `DataProtocol`,
/// which costs more than hashing it.
struct PreparedHMAC: Sendable {
    private let inner: SHA256
    private let outer: SHA256

    /// Prepares a key of 32 bytes, as keys of signatures are.
    init(key: SymmetricKey) {
        let bytes = key.withUnsafeBytes { Array($0) }
        precondition(bytes.count <= SHA256.blockByteCount)
        func begun(_ pad: UInt8) -> SHA256 {
            var block = [UInt8](repeating: pad, count: SHA256.blockByteCount)
            for (index, byte) in bytes.enumerated() { block[index] ^= byte }
            var hash = SHA256()
            block.withUnsafeBytes { hash.update(bufferPointer: $0) }
            return hash
        }
        inner = begun(0x36)
        outer = begun(0x5c)
    }

    /// The code of a message.
    func code(of message: [UInt8]) -> SHA256Digest {
        var inner = inner
        message.withUnsafeBytes { inner.update(bufferPointer: $0) }
        var outer = outer
        inner.finalize().withUnsafeBytes { outer.update(bufferPointer: $0) }
        return outer.finalize()
    }
}
