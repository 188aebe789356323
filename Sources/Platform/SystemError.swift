internal import Glibc

/// An error that a full disk or a limit of the process can cause.
package protocol ShortageError: Error {
    /// The shortage, as told to the client whose request fails; nil for other failures.
    var shortage: String? { get }
}

/// A system call that failed: which, on what, and why.
package struct SystemError: ShortageError, Equatable, CustomStringConvertible {
    /// The calls whose failures are told apart (and can be injected in tests).
    package enum Call: String, Sendable {
        case open
        case read = "pread"
        case write = "pwritev"
        case allocate = "fallocate"
        case sync = "fdatasync"
        case syncFolder = "fsync of folder"
        case rename
        case remove
        case createFolder = "mkdir"
        case list = "readdir"
        case lock = "flock"
        case stat
    }

    /// The call.
    package var call: Call
    /// The file or folder it was about.
    package var path: String
    /// The value of `errno`.
    package var code: Int32

    /// Names a failed call.
    package init(_ call: Call, path: String, code: Int32) {
        self.call = call
        self.path = path
        self.code = code
    }

    /// The failure of the call just made on this thread.
    static func last(_ call: Call, _ path: String) -> SystemError {
        SystemError(call, path: path, code: errno)
    }

    /// True where the disk, or what this user may use of it, is full.
    package var isDiskFull: Bool { code == ENOSPC || code == EDQUOT }

    /// See the protocol.
    package var shortage: String? {
        if isDiskFull { return "the server's disk is full" }
        return isOutOfDescriptors ? "the server has reached its limit on open files" : nil
    }

    /// True where the process, or the system, has as many files open as it may.
    package var isOutOfDescriptors: Bool { code == EMFILE || code == ENFILE }

    /// True where the storage has lost what it is asked for: another attempt may fail in the same way for
    /// ever, and other places can be read.
    package var isMediaFailure: Bool {
        call == .read && [EIO, EUCLEAN, EBADMSG, EILSEQ, ENODATA].contains(code)
    }

    package var description: String {
        "\(call.rawValue) failed on \(path): \(String(cString: strerror(code))) (errno \(code))"
    }
}
