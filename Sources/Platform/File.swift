package import Glibc

/// An open file: positioned reads and writes, each complete or an error.
///
/// Positions and lengths are bytes. Safe to use from several threads at once, as the calls that it
/// stands for are.
package final class File: Sendable {
    /// Lets a test fail a call: given the call and the path, an errno to fail with, or nil.
    package typealias Fault = @Sendable (SystemError.Call, String) -> Int32?

    /// What to do at open.
    package enum Mode: Sendable {
        /// Read an existing file.
        case read
        /// Read and write an existing file.
        case update
        /// Create the file, which must not exist.
        case create
        /// Create the file, or empty an existing one.
        case replace
        /// Open the file, created empty where it is missing.
        case openOrCreate
    }

    /// The owner may read and write, the group read.
    package static let defaultPermissions: UInt32 = 0o640

    /// Where the file was when it was opened.
    package let path: String
    private let descriptor: Int32
    private let fault: Fault?

    /// Opens `path`; the file is closed with the last reference.
    ///
    /// A file that is made gets the `permissions`, less those of the process's umask.
    package init(
        _ path: String,
        _ mode: Mode,
        permissions: UInt32 = File.defaultPermissions,
        fault: Fault? = nil
    ) throws(SystemError) {
        let flags: Int32 =
            switch mode {
            case .read: O_RDONLY
            case .update: O_RDWR
            case .create: O_RDWR | O_CREAT | O_EXCL
            case .replace: O_RDWR | O_CREAT | O_TRUNC
            case .openOrCreate: O_RDWR | O_CREAT
            }
        if let code = fault?(.open, path) { throw SystemError(.open, path: path, code: code) }
        let descriptor = open(path, flags | O_CLOEXEC, permissions)
        guard descriptor >= 0 else { throw .last(.open, path) }
        self.path = path
        self.descriptor = descriptor
        self.fault = fault
    }

    deinit { close(descriptor) }

    /// The size of the file in bytes.
    package func size() throws(SystemError) -> UInt64 {
        var information = stat()
        guard fstat(descriptor, &information) == 0 else { throw .last(.stat, path) }
        return UInt64(information.st_size)
    }

    /// Reads up to `buffer.count` bytes at `offset`; returns fewer only at the end of the file.
    package func read(
        into buffer: UnsafeMutableRawBufferPointer,
        at offset: UInt64
    )
        throws(SystemError) -> Int
    {
        try check(.read)
        var done = 0
        while done < buffer.count {
            let count = pread(
                descriptor,
                buffer.baseAddress?.advanced(by: done),
                buffer.count - done,
                off_t(offset) + off_t(done)
            )
            if count < 0 {
                if errno == EINTR { continue }
                throw .last(.read, path)
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// Reads up to `count` bytes at `offset`; returns fewer only at the end of the file.
    package func read(_ count: Int, at offset: UInt64) throws(SystemError) -> [UInt8] {
        var failure: SystemError?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            do throws(SystemError) {
                filled = try read(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Writes all of `buffer` at `offset`.
    package func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws(SystemError) {
        try check(.write)
        var done = 0
        while done < buffer.count {
            let count = pwrite(
                descriptor,
                buffer.baseAddress?.advanced(by: done),
                buffer.count - done,
                off_t(offset) + off_t(done)
            )
            if count < 0 {
                if errno == EINTR { continue }
                throw .last(.write, path)
            }
            done += count
        }
    }

    /// Writes all of `bytes` at `offset`.
    package func write(_ bytes: [UInt8], at offset: UInt64) throws(SystemError) {
        do {
            try bytes.withUnsafeBytes { try write($0, at: offset) }
        } catch let error as SystemError {
            throw error
        } catch {
            preconditionFailure("write throws SystemError alone")
        }
    }

    /// Writes the parts one behind the other at `offset`; changes `parts` while it works.
    package func write(gathering parts: inout [iovec], at offset: UInt64) throws(SystemError) {
        try check(.write)
        var position = off_t(offset)
        var first = 0
        while first < parts.count {
            let count = min(parts.count - first, Int(IOV_MAX))
            let written = parts.withUnsafeBufferPointer { buffer in
                pwritev(descriptor, buffer.baseAddress?.advanced(by: first), Int32(count), position)
            }
            if written < 0 {
                if errno == EINTR { continue }
                throw .last(.write, path)
            }
            position += off_t(written)
            var rest = written
            while first < parts.count, rest >= parts[first].iov_len {
                rest -= parts[first].iov_len
                first += 1
            }
            if rest > 0 {
                parts[first].iov_base = parts[first].iov_base?.advanced(by: rest)
                parts[first].iov_len -= rest
            }
        }
    }

    /// Forces the content to disk (`fdatasync`).
    package func sync() throws(SystemError) {
        try check(.sync)
        guard fdatasync(descriptor) == 0 else { throw .last(.sync, path) }
    }

    /// Reserves `count` bytes of disk from the start; the size becomes at least `count`.
    package func preallocate(_ count: UInt64) throws(SystemError) {
        try check(.allocate)
        let code = posix_fallocate(descriptor, 0, off_t(count))
        guard code == 0 else { throw SystemError(.allocate, path: path, code: code) }
    }

    /// Tells the system that what is synced of the file need not stay in memory.
    ///
    /// Advice: never fails.
    package func dropFromMemory() { posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) }

    /// Cuts or extends the file to `count` bytes.
    package func resize(to count: UInt64) throws(SystemError) {
        guard ftruncate(descriptor, off_t(count)) == 0 else { throw .last(.write, path) }
    }

    /// Takes the exclusive advisory lock; false where another process holds it.
    package func tryLock() throws(SystemError) -> Bool {
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return true }
        if errno == EWOULDBLOCK { return false }
        throw .last(.lock, path)
    }

    /// Gives the lock back.
    package func unlock() { flock(descriptor, LOCK_UN) }

    private func check(_ call: SystemError.Call) throws(SystemError) {
        if let code = fault?(call, path) { throw SystemError(call, path: path, code: code) }
    }
}

private let IOV_MAX: Int32 = 1024
