package import Glibc
package import Synchronization

/// An open file: positioned reads and writes, each complete or an error.
///
/// Positions and lengths are bytes. Safe to use from several threads at once, as the calls that it
/// stands for are.
package final class File: Sendable {
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

    /// Opens `path`; the file is closed with the last reference.
    ///
    /// A file that is made gets the `permissions`, less those of the process's umask.
    package init(
        _ path: String,
        _ mode: Mode,
        permissions: UInt32 = File.defaultPermissions
    ) throws(SystemError) {
        let flags: Int32 =
            switch mode {
            case .read: O_RDONLY
            case .update: O_RDWR
            case .create: O_RDWR | O_CREAT | O_EXCL
            case .replace: O_RDWR | O_CREAT | O_TRUNC
            case .openOrCreate: O_RDWR | O_CREAT
            }
        try SystemFaults.check(.open, path)
        let descriptor = open(path, flags | O_CLOEXEC, permissions)
        guard descriptor >= 0 else { throw .last(.open, path) }
        self.path = path
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// The size of the file in bytes.
    package func size() throws(SystemError) -> UInt64 {
        try SystemFaults.check(.stat, path)
        var information = stat()
        guard fstat(descriptor, &information) == 0 else { throw .last(.stat, path) }
        return UInt64(information.st_size)
    }

    /// Whether this very file is what is found at its path now.
    package var isInPlace: Bool {
        var (mine, there) = (stat(), stat())
        return fstat(descriptor, &mine) == 0 && stat(path, &there) == 0
            && mine.st_dev == there.st_dev && mine.st_ino == there.st_ino
    }

    /// Reads up to `buffer.count` bytes at `offset`; returns fewer only at the end of the file.
    package func read(
        into buffer: UnsafeMutableRawBufferPointer,
        at offset: UInt64
    )
        throws(SystemError) -> Int
    {
        try SystemFaults.check(.read, path, offset..<offset + UInt64(buffer.count))
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

    /// Bytes that the system fails to give at once: a page.
    package static let pageBytes = 4096
    /// Pages of one read that are tried one by one: each may take a failing disk seconds.
    private static let mostTriedPages = 64
    /// How often one that could not be read is tried again.
    private static let pageAttempts = 3

    /// Reads as `read` does, with zeros in the place of what the storage cannot give.
    ///
    /// - Returns: How many bytes the file has there, and the failure that some of them are zeros for; nil
    ///   where all were read.
    /// - Throws: Any other failure.
    package func salvage(
        into buffer: UnsafeMutableRawBufferPointer,
        at offset: UInt64
    ) throws(SystemError) -> (count: Int, failure: SystemError?) {
        do throws(SystemError) {
            return (try read(into: buffer, at: offset), nil)
        } catch {
            guard error.isMediaFailure else { throw error }
            let size = try size()
            let count = Int(min(UInt64(buffer.count), size - min(offset, size)))
            var left = Self.mostTriedPages
            let whole = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
            // Where the file ends, nothing is lost.
            var isWhole = true
            if count > 0 { isWhole = try salvageParts(whole, at: offset, &left) }
            if isWhole { Self.retriedReads.add(1, ordering: .relaxed) }
            return (count, isWhole ? nil : error)
        }
    }

    /// Reads that failed, and went well when they were made again: of all files since the process began.
    package static let retriedReads = Atomic(0)

    /// Reads what can be read of a part that as a whole cannot be, by halves, down to single pages.
    ///
    /// - Returns: Whether that is all of it.
    private func salvageParts(
        _ buffer: UnsafeMutableRawBufferPointer,
        at offset: UInt64,
        _ left: inout Int
    ) throws(SystemError) -> Bool {
        let page = UInt64(Self.pageBytes)
        let (first, last) = (offset / page, (offset + UInt64(buffer.count) - 1) / page)
        guard last > first, left > 0 else {
            left -= 1
            return try salvagePage(buffer, at: offset)
        }
        // Where a page begins, in the middle.
        let cut = Int((first + (last - first + 1) / 2) * page - offset)
        var isWhole = true
        for part in [0..<cut, cut..<buffer.count] {
            let space = UnsafeMutableRawBufferPointer(rebasing: buffer[part])
            do throws(SystemError) {
                _ = try read(into: space, at: offset + UInt64(part.lowerBound))
            } catch {
                guard error.isMediaFailure else { throw error }
                let isGood = try salvageParts(space, at: offset + UInt64(part.lowerBound), &left)
                isWhole = isWhole && isGood
            }
        }
        return isWhole
    }

    /// Reads a page once more, or a few times: a failure may pass, and what is read as zeros is lost.
    private func salvagePage(
        _ buffer: UnsafeMutableRawBufferPointer,
        at offset: UInt64
    ) throws(SystemError) -> Bool {
        for _ in 0..<Self.pageAttempts {
            do throws(SystemError) {
                _ = try read(into: buffer, at: offset)
                return true
            } catch {
                guard error.isMediaFailure else { throw error }
            }
        }
        buffer.initializeMemory(as: UInt8.self, repeating: 0)
        return false
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

    /// As the other, into an array.
    package func salvage(
        _ count: Int,
        at offset: UInt64
    ) throws(SystemError) -> (bytes: [UInt8], failure: SystemError?) {
        let space = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
        defer { space.deallocate() }
        let (filled, failure) = try salvage(into: space, at: offset)
        return (Array(space[..<filled]), failure)
    }

    /// Writes all of `buffer` at `offset`.
    package func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws(SystemError) {
        try SystemFaults.check(.write, path, offset..<offset + UInt64(buffer.count))
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
        try SystemFaults.check(
            .write,
            path,
            offset..<offset + parts.reduce(0) { $0 + UInt64($1.iov_len) }
        )
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
        try SystemFaults.check(.sync, path)
        guard fdatasync(descriptor) == 0 else { throw .last(.sync, path) }
    }

    /// Reserves `count` bytes of disk from the start; the size becomes at least `count`.
    package func preallocate(_ count: UInt64) throws(SystemError) {
        try SystemFaults.check(.allocate, path)
        let code = posix_fallocate(descriptor, 0, off_t(count))
        guard code == 0 else { throw SystemError(.allocate, path: path, code: code) }
    }

    /// Tells the system that what is synced of the file need not stay in memory.
    ///
    /// Advice: never fails.
    package func dropFromMemory() { posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) }

    /// Cuts or extends the file to `count` bytes.
    package func resize(to count: UInt64) throws(SystemError) {
        try SystemFaults.check(.write, path)
        guard ftruncate(descriptor, off_t(count)) == 0 else { throw .last(.write, path) }
    }

    /// Takes the exclusive advisory lock; false where another process holds it.
    package func tryLock() throws(SystemError) -> Bool {
        try SystemFaults.check(.lock, path)
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return true }
        if errno == EWOULDBLOCK { return false }
        throw .last(.lock, path)
    }

    /// Gives the lock back.
    package func unlock() { flock(descriptor, LOCK_UN) }
}

private let IOV_MAX: Int32 = 1024
