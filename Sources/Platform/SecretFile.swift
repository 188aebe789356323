internal import Glibc

/// A file with secrets in it: only its owner may be able to read it.
package enum SecretFile {
    /// A file that is not read, and what to do.
    package enum Failure: Error, CustomStringConvertible {
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

    /// The whole content.
    ///
    /// - Throws: Where group or others may read or write it, or where it cannot be read.
    package static func read(_ path: String) throws(Failure) -> [UInt8] {
        var facts = Glibc.stat()
        guard stat(path, &facts) == 0 else {
            throw .system(.last(.stat, path))
        }
        let mode = facts.st_mode & 0o7777
        guard mode & 0o077 == 0 else { throw .readableByOthers(path: path, mode: mode) }
        do {
            return try Folder.readFile(path)
        } catch {
            throw .system(error)
        }
    }
}
