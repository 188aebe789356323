internal import Synchronization

/// Lets tests fail system calls on what lies below a folder, wherever in the program they are made.
package enum SystemFaults {
    /// Given the call, the path and, of a read or a write, the bytes of the file: an errno to fail with,
    /// or nil.
    package typealias Fault =
        @Sendable (SystemError.Call, _ path: String, _ bytes: Range<UInt64>?) -> Int32?

    private struct Installed {
        var number: Int
        var root: String
        var fault: Fault
    }

    private static let isAny = Atomic(false)
    private static let all = Mutex((faults: [Installed](), lastNumber: 0))

    /// Fails calls below a folder as `fault` says, until what is given back is removed.
    package static func install(below root: String, _ fault: @escaping Fault) -> Installation {
        all.withLock { all in
            all.lastNumber += 1
            all.faults.append(Installed(number: all.lastNumber, root: root, fault: fault))
            isAny.store(true, ordering: .relaxed)
            return Installation(number: all.lastNumber)
        }
    }

    /// A fault that is there.
    package struct Installation: Sendable {
        fileprivate var number: Int

        /// Calls are made again as they are.
        package func remove() {
            all.withLock { all in
                all.faults.removeAll { $0.number == number }
                isAny.store(!all.faults.isEmpty, ordering: .relaxed)
            }
        }
    }

    static func check(
        _ call: SystemError.Call,
        _ path: String,
        _ bytes: @autoclosure () -> Range<UInt64>? = nil
    ) throws(SystemError) {
        guard isAny.load(ordering: .relaxed) else { return }
        // Called without the lock: a fault may wait.
        let faults = all.withLock { $0.faults.filter { path.hasPrefix($0.root) } }
        let range = faults.isEmpty ? nil : bytes()
        for each in faults {
            if let code = each.fault(call, path, range) {
                throw SystemError(call, path: path, code: code)
            }
        }
    }
}
