internal import Glibc

/// A file with secrets in it: only its owner may be able to read it.
package enum SecretFile {
    /// A file that is not read, and what to do.
    package enum Failure: SettingMistake, CustomStringConvertible {
        case readableByOthers(path: String, mode: UInt32)
        case system(SystemError)

        package var description: String {
            switch self {
            case .readableByOthers(let path, let mode):
                "the file \(path) has secrets and mode 0\(String(mode, radix: 8)), so that others "
                    + "than its owner can get at it: chmod 600 \(path)"
            case .system(let error): error.description
            }
        }
    }

    /// Whether systemd made the file for this service alone: it may give the service its right by an ACL,
    /// which looks like one of the group (systemd.exec(5), LoadCredential=).
    private static func isCredential(_ path: String, _ facts: Glibc.stat) -> Bool {
        guard let folder = getenv("CREDENTIALS_DIRECTORY").map({ String(cString: $0) }),
            !folder.isEmpty, !path.split(separator: "/").contains("..")
        else { return false }
        return path.hasPrefix(folder + "/") && facts.st_uid == 0 && facts.st_mode & 0o7777 == 0o440
    }

    /// The whole content.
    ///
    /// - Throws: Where group or others may read or write it, or where it cannot be read.
    package static func read(_ path: String) throws(Failure) -> [UInt8] {
        var facts = Glibc.stat()
        guard stat(path, &facts) == 0 else {
            throw .system(.last(.stat, path))
        }
        let mode = facts.st_mode & 0o7777
        guard mode & 0o077 == 0 || isCredential(path, facts) else {
            throw .readableByOthers(path: path, mode: mode)
        }
        do {
            return try Folder.readFile(path)
        } catch {
            throw .system(error)
        }
    }
}
