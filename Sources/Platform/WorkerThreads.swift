package import Glibc
internal import Synchronization

/// A fixed number of threads for work that blocks: sync, read, compress.
///
/// The cooperative pool must never wait for a disk, so such work comes here.
package final class WorkerThreads: Sendable {
    private let queue: WorkQueue
    private let threads: [pthread_t]

    /// Starts `count` threads.
    package init(count: Int) {
        let queue = WorkQueue()
        self.queue = queue
        threads = (0..<count).map { _ in startThread { queue.runUntilClosed() } }
    }

    /// Runs `work` on one of the threads, in the order of submission.
    ///
    /// After `close` it is dropped.
    package func submit(_ work: @escaping @Sendable () -> Void) { queue.add(work) }

    /// Runs `work` on one of the threads and gives its result.
    ///
    /// Where the task is cancelled before the work begins, or the pool is closed, it throws
    /// `CancellationError`; long work looks at the flag that it is given.
    package func run<Value: Sendable>(
        _ work: @escaping @Sendable (CancellationFlag) throws -> Value
    ) async throws -> Value {
        let flag = CancellationFlag()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let accepted = queue.add {
                    continuation.resume(
                        with: Result {
                            try flag.check()
                            return try work(flag)
                        }
                    )
                }
                if !accepted { continuation.resume(throwing: CancellationError()) }
            }
        } onCancel: {
            flag.raise()
        }
    }

    /// Finishes what was submitted, ends the threads and waits for them; once is enough.
    package func close() {
        guard queue.close() else { return }
        for thread in threads { pthread_join(thread, nil) }
    }

    /// Nobody submits any more: the threads end behind what was submitted, and nobody waits for them.
    deinit {
        guard queue.close() else { return }
        for thread in threads { pthread_detach(thread) }
    }
}

/// Tells work on a thread that the task that waits for it was cancelled.
package final class CancellationFlag: Sendable {
    private let isRaised = Atomic(false)

    /// A flag that is down.
    package init() {}

    func raise() { isRaised.store(true, ordering: .relaxed) }

    /// Throws `CancellationError` once the flag is up.
    package func check() throws(CancellationError) {
        if isRaised.load(ordering: .relaxed) { throw CancellationError() }
    }
}

/// Starts a thread that runs `body`; to be joined by the caller.
///
/// For threads without which nothing works: where the system has none, the process ends.
package func startThread(_ body: @escaping @Sendable () -> Void) -> pthread_t {
    guard let thread = makeThread(body) else { fatalError("the system has no thread left") }
    return thread
}

/// Runs `body` on a thread of its own that nobody waits for; false where the system has none left.
package func detachThread(_ body: @escaping @Sendable () -> Void) -> Bool {
    guard let thread = makeThread(body) else { return false }
    pthread_detach(thread)
    return true
}

private func makeThread(_ body: @escaping @Sendable () -> Void) -> pthread_t? {
    final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let context = Unmanaged.passRetained(Box(body)).toOpaque()
    let code = pthread_create(
        &thread,
        nil,
        { context in
            guard let context else { return nil }
            Unmanaged<Box>.fromOpaque(context).takeRetainedValue().body()
            return nil
        },
        context
    )
    guard code == 0 else {
        Unmanaged<Box>.fromOpaque(context).release()
        return nil
    }
    return thread
}

/// A queue with a condition variable, which `Mutex` has not.
///
/// Unchecked because the compiler cannot see that `items` and `isClosed` are touched only with the
/// pthread mutex held.
private final class WorkQueue: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var items: [@Sendable () -> Void] = []
    private var head = 0
    private var isClosed = false

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(condition)
        mutex.deallocate()
        condition.deallocate()
    }

    @discardableResult
    func add(_ item: @escaping @Sendable () -> Void) -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        guard !isClosed else { return false }
        items.append(item)
        pthread_cond_signal(condition)
        return true
    }

    /// False where it was closed already.
    func close() -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        guard !isClosed else { return false }
        isClosed = true
        pthread_cond_broadcast(condition)
        return true
    }

    func runUntilClosed() {
        while let item = next() { item() }
    }

    private func next() -> (@Sendable () -> Void)? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while head == items.count {
            if isClosed { return nil }
            pthread_cond_wait(condition, mutex)
        }
        let item = items[head]
        items[head] = {}  // lets go of what the closure holds
        head += 1
        if head == items.count {
            items.removeAll(keepingCapacity: items.capacity <= 4096)
            head = 0
        } else if head > 1024, head > items.count / 2 {
            items.removeFirst(head)
            head = 0
        }
        return item
    }
}
