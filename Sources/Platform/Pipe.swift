internal import Glibc

/// The two ends of a pipe, closed by whoever takes them.
package struct Pipe {
    /// What is written comes out here.
    package let read: Int32
    /// Where it is written.
    package let write: Int32

    /// `F_SETPIPE_SZ` of linux/fcntl.h, which the C library shows to GNU programs alone.
    private static let setSize: Int32 = 1031

    /// Nil where there are no descriptors left.
    ///
    /// Children never see them but as their own standard streams: whoever starts processes closes all
    /// others.
    package init?() {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return nil }
        (read, write) = (ends[0], ends[1])
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    }

    /// Closes both ends.
    package func closeBoth() {
        close(read)
        close(write)
    }

    /// Makes an end of a pipe return at once where nothing can be done.
    package static func setNonBlocking(_ end: Int32) { _ = fcntl(end, F_SETFL, O_NONBLOCK) }

    /// Gives a pipe room for a megabyte, which takes fewer turns; where the system has no such room,
    /// the usual does.
    package static func enlarge(_ end: Int32) { _ = fcntl(end, setSize, 1 << 20) }

    /// The end to read from of a pipe that holds some bytes and nothing after: whoever gets it need not
    /// read it, and nobody waits.
    ///
    /// - Throws: ENFILE without descriptors, EFBIG where so much has no room (a megabyte or more).
    package static func holding(_ bytes: [UInt8]) throws(SystemError) -> Int32 {
        guard let pipe = Pipe() else { throw SystemError(.open, path: "a pipe", code: errno) }
        defer { close(pipe.write) }
        setNonBlocking(pipe.write)
        enlarge(pipe.write)
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.write(pipe.write, buffer.baseAddress?.advanced(by: done), bytes.count - done)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                close(pipe.read)
                throw SystemError(.write, path: "a pipe", code: EFBIG)
            }
            done += count
        }
        return pipe.read
    }
}
