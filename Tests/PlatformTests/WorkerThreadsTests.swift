import Glibc
import Platform
import Testing

@Suite(.timeLimit(.minutes(1))) struct WorkerThreadsTests {
    /// Says when it goes.
    private final class Owned: Sendable {
        let onEnd: @Sendable () -> Void
        init(_ onEnd: @escaping @Sendable () -> Void) { self.onEnd = onEnd }
        deinit { onEnd() }
    }

    @Test func `threads end with their owner, behind what was submitted`() async {
        await withCheckedContinuation { continuation in
            let threads = WorkerThreads(count: 1)
            let owned = Owned { continuation.resume() }
            threads.submit { _ = owned }
        }
    }

    @Test func `a thread is gone with its owner`() async {
        // What a thread stores for itself is destroyed by its end, and by nothing else.
        var key = pthread_key_t()
        pthread_key_create(&key) { value in
            guard let value else { return }
            Unmanaged<Owned>.fromOpaque(value).release()
        }
        await withCheckedContinuation { [key] continuation in
            let threads = WorkerThreads(count: 1)
            let owned = Owned { continuation.resume() }
            threads.submit { pthread_setspecific(key, Unmanaged.passRetained(owned).toOpaque()) }
        }
        pthread_key_delete(key)
    }

    @Test func `what comes after the end is refused`() async throws {
        let threads = WorkerThreads(count: 1)
        #expect(try await threads.run { _ in 1 } == 1)
        threads.close()
        await #expect(throws: CancellationError.self) { _ = try await threads.run { _ in 1 } }
    }
}
