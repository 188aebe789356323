internal import Glibc

/// The two ends of a pipe, closed by whoever takes them.
struct Pipe {
    let read: Int32
    let write: Int32

    /// `F_SETPIPE_SZ` of linux/fcntl.h, which the C library shows to GNU programs alone.
    private static let setSize: Int32 = 1031

    /// Nil where there are no descriptors left.
    ///
    /// Children never see them but as their own standard streams: whoever starts processes closes all
    /// others.
    init?() {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return nil }
        (read, write) = (ends[0], ends[1])
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    }

    func closeBoth() {
        close(read)
        close(write)
    }

    /// Makes an end of a pipe return at once where nothing can be done.
    static func setNonBlocking(_ end: Int32) { _ = fcntl(end, F_SETFL, O_NONBLOCK) }

    /// Gives a pipe room for a megabyte, which takes fewer turns; where the system has no such room,
    /// the usual does.
    static func enlarge(_ end: Int32) { _ = fcntl(end, setSize, 1 << 20) }
}
