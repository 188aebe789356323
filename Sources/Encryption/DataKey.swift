internal import Crypto
internal import Foundation

/// A key for AES-256-GCM that encrypts things by number, each number once.
package struct DataKey: Sendable {
    /// Bytes that encryption adds at the end.
    package static let tagBytes = 16

    let key: SymmetricKey

    init(key: SymmetricKey) { self.key = key }

    /// A new random key.
    package init() { key = SymmetricKey(size: .bits256) }

    /// Encrypts bytes into a space of their size and `tagBytes`.
    ///
    /// - Parameters:
    ///   - plain: What to encrypt.
    ///   - number: Never used with this key before: it is the nonce.
    ///   - context: Bytes that must be the same when it is opened.
    ///   - space: Where the encrypted bytes go.
    package func encrypt(
        _ plain: UnsafeRawBufferPointer,
        number: UInt64,
        authenticating context: [UInt8],
        into space: UnsafeMutableRawBufferPointer
    ) {
        precondition(space.count == plain.count + Self.tagBytes)
        do {
            let box = try AES.GCM.seal(
                plain,
                using: key,
                nonce: Self.nonce(number),
                authenticating: context
            )
            // The combined form is nonce, content and tag in one block: no copies of its parts.
            guard let combined = box.combined else {
                preconditionFailure("a nonce of 12 bytes combines")
            }
            combined.withUnsafeBytes { all in
                space.copyMemory(from: UnsafeRawBufferPointer(rebasing: all[12...]))
            }
        } catch {
            preconditionFailure("encryption fails for wrong key sizes alone: \(error)")
        }
    }

    /// Opens what was encrypted; false, with nothing promised of the space, where anything is otherwise
    /// than it was.
    ///
    /// - Parameters:
    ///   - encrypted: Content and tag.
    ///   - number: The number that it was encrypted with.
    ///   - context: The bytes that it was encrypted with.
    ///   - space: Where the content goes, `tagBytes` less than `encrypted`.
    /// - Returns: Whether it is genuine.
    package func open(
        _ encrypted: UnsafeRawBufferPointer,
        number: UInt64,
        authenticating context: [UInt8],
        into space: UnsafeMutableRawBufferPointer
    ) -> Bool {
        guard encrypted.count >= Self.tagBytes, space.count == encrypted.count - Self.tagBytes,
            let box = try? AES.GCM.SealedBox(
                nonce: Self.nonce(number),
                ciphertext: UnsafeRawBufferPointer(rebasing: encrypted[..<space.count]),
                tag: UnsafeRawBufferPointer(rebasing: encrypted[space.count...])
            ),
            let plain = try? AES.GCM.open(box, using: key, authenticating: context)
        else { return false }
        plain.withUnsafeBytes { space.copyMemory(from: $0) }
        return true
    }

    private static func nonce(_ number: UInt64) throws -> AES.GCM.Nonce {
        var bytes = [UInt8](repeating: 0, count: 12)
        for index in 0..<8 { bytes[4 + index] = UInt8(truncatingIfNeeded: number >> (8 * index)) }
        return try AES.GCM.Nonce(data: bytes)
    }
}
