internal import Glibc

/// The file descriptors of this process.
package enum Descriptors {
    /// How many may be open: the soft limit (`ulimit -n`).
    package static var limit: Int { Int(clamping: limits.rlim_cur) }

    /// How many are open; nil where that cannot be told.
    package static var openCount: Int? {
        guard let names = try? Folder.list("/proc/self/fd") else { return nil }
        // One of them read the list.
        return names.count - 1
    }

    /// Raises the soft limit to the hard one, and gives the limit then in force.
    @discardableResult
    package static func raiseLimit() -> Int {
        var limits = limits
        limits.rlim_cur = limits.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)
        return limit
    }

    private static var limits: rlimit {
        var limits = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)
        return limits
    }
}
