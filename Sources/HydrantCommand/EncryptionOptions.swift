internal import ArgumentParser
internal import Encryption
internal import Foundation
internal import Platform

/// The keys of encryption at rest: options of `hydrant serve` and `hydrant unseal`.
struct EncryptionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The master keys of encryption at rest. (default: HYDRANT_MASTER_KEY)",
            discussion: """
                A file that only its owner may read (mode 0600): a key of 32 bytes a line, as base64 \
                or hexadecimal. The first wraps new data keys; those behind it open what they \
                wrapped.
                """,
            valueName: "file"
        )
    )
    var masterKey: String?

    /// The keys of the file, else the one of the environment, else none.
    func load() throws -> MasterKeys? {
        let variable = "HYDRANT_MASTER_KEY"
        let text: String
        if let masterKey {
            text = String(decoding: try SecretFile.read(masterKey), as: UTF8.self)
        } else {
            text = ProcessInfo.processInfo.environment[variable] ?? ""
            if text.isEmpty { return nil }
        }
        do throws(MasterKeys.Failure) {
            return try MasterKeys(lines: text)
        } catch {
            throw SettingsError(
                description: "the master keys in \(masterKey ?? variable): \(error)"
            )
        }
    }
}
