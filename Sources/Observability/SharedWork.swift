package import Platform
internal import Synchronization

/// Something that takes a while to make, made once for all who ask while it is being made, on a thread
/// of its own.
package final class SharedWork<Value: Sendable>: Sendable {
    private let waiting = Mutex<[CheckedContinuation<Value, Never>]>([])
    private let threads: WorkerThreads
    private let make: @Sendable () -> Value

    /// Work for `threads`, which must not be closed while somebody waits.
    ///
    /// - Parameters:
    ///   - threads: Where it is made.
    ///   - make: Makes it; blocks.
    package init(on threads: WorkerThreads, make: @escaping @Sendable () -> Value) {
        self.threads = threads
        self.make = make
    }

    /// What is made after this was called.
    package func value() async -> Value {
        await withCheckedContinuation { continuation in
            let isFirst = waiting.withLock { waiting in
                waiting.append(continuation)
                return waiting.count == 1
            }
            guard isFirst else { return }
            threads.submit { [self] in
                // Whoever comes from now on wants to know what is then.
                let all = waiting.withLock { waiting in
                    defer { waiting = [] }
                    return waiting
                }
                let value = make()
                for continuation in all { continuation.resume(returning: value) }
            }
        }
    }
}
