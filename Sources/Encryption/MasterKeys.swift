internal import Crypto
internal import Foundation
internal import Platform

/// The keys that wrap data keys: the first wraps new ones, all of them unwrap.
package struct MasterKeys: Sendable {
    /// A text that holds no keys, and why.
    package struct Failure: SettingMistake, CustomStringConvertible {
        /// For the operator; no part of a key is in it.
        package var description: String
    }

    private struct Key: Sendable {
        var id: [UInt8]
        var key: SymmetricKey
    }

    private let keys: [Key]

    /// Reads keys from lines: 32 bytes each, as base64 or as 64 hexadecimal digits.
    ///
    /// Empty lines, and lines that begin with `#`, count for nothing.
    package init(lines text: String) throws(Failure) {
        var keys: [Key] = []
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for (index, line) in lines.enumerated() {
            let line = line.trimmingCharacters(in: .whitespaces)
            guard !line.isEmpty, !line.hasPrefix("#") else { continue }
            guard let bytes = Self.bytes(line), bytes.count == 32 else {
                throw Failure(
                    description: "line \(index + 1) is not a key: 32 bytes as base64 or as 64 "
                        + "hexadecimal digits, such as `openssl rand -base64 32` makes"
                )
            }
            keys.append(Key(id: Self.id(of: bytes), key: SymmetricKey(data: bytes)))
        }
        guard !keys.isEmpty else { throw Failure(description: "there is no key") }
        self.keys = keys
    }

    private static func bytes(_ line: String) -> [UInt8]? {
        guard line.utf8.count == 64 else { return Data(base64Encoded: line).map { [UInt8]($0) } }
        return Hexadecimal.bytes(line.utf8, allowsCapitals: true)
    }

    /// Tells keys apart without telling anything of them.
    private static func id(of key: [UInt8]) -> [UInt8] {
        Array(SHA256.hash(data: Array("hydrant master key".utf8) + key).prefix(WrappedKey.idBytes))
    }

    /// Whether new keys are wrapped by the same master key as this one.
    package func isCurrent(_ wrapped: WrappedKey) -> Bool { wrapped.masterKeyID == keys[0].id }

    /// Wraps a data key, for one purpose alone.
    package func wrap(_ key: DataKey, for purpose: [UInt8]) -> WrappedKey {
        do {
            let box = try key.key.withUnsafeBytes { bytes in
                try AES.GCM.seal(bytes, using: keys[0].key, authenticating: purpose)
            }
            guard let encrypted = box.combined else {
                preconditionFailure("a nonce of 12 bytes combines")
            }
            return WrappedKey(masterKeyID: keys[0].id, encrypted: [UInt8](encrypted))
        } catch {
            preconditionFailure("encryption fails for wrong key sizes alone: \(error)")
        }
    }

    /// Unwraps a data key that was wrapped for the same purpose.
    package func unwrap(
        _ wrapped: WrappedKey,
        for purpose: [UInt8]
    ) throws(KeyFailure) -> DataKey {
        guard let master = keys.first(where: { $0.id == wrapped.masterKeyID }) else {
            throw .unknownMasterKey(id: wrapped.masterKeyName)
        }
        do {
            let box = try AES.GCM.SealedBox(combined: wrapped.encrypted)
            let bytes = try AES.GCM.open(box, using: master.key, authenticating: purpose)
            return DataKey(key: SymmetricKey(data: bytes))
        } catch {
            throw .damaged
        }
    }
}

/// A data key that cannot be had.
package enum KeyFailure: Error, Hashable, CustomStringConvertible {
    /// There are no master keys at all.
    case noMasterKey
    /// It is wrapped by a master key that is not known here.
    case unknownMasterKey(id: String)
    /// It is not there, though something is encrypted under it.
    case missing
    /// It is not what was wrapped, or not for this purpose.
    case damaged

    package var description: String {
        switch self {
        case .noMasterKey:
            "there is no master key: give one with --master-key FILE or HYDRANT_MASTER_KEY"
        case .unknownMasterKey(let id):
            "the data key is wrapped by the master key \(id), which is not among those given"
        case .missing:
            "the data key is missing: bring back the file that it was in"
        case .damaged:
            "the data key is damaged"
        }
    }
}

/// A data key under a master key.
package struct WrappedKey: Sendable, Hashable {
    static let idBytes = 8
    /// Nonce, key and tag.
    static let encryptedBytes = 12 + 32 + 16
    /// Bytes of its stored form.
    package static let byteCount = idBytes + encryptedBytes

    let masterKeyID: [UInt8]
    let encrypted: [UInt8]

    init(masterKeyID: [UInt8], encrypted: [UInt8]) {
        self.masterKeyID = masterKeyID
        self.encrypted = encrypted
    }

    /// Reads the stored form; nil where it has another length.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        masterKeyID = Array(bytes.prefix(Self.idBytes))
        encrypted = Array(bytes.dropFirst(Self.idBytes))
    }

    /// The stored form.
    package var bytes: [UInt8] { masterKeyID + encrypted }

    /// The master key's name in messages: 16 hexadecimal digits that tell nothing of the key.
    package var masterKeyName: String { Hexadecimal.text(masterKeyID) }
}
