import Synchronization
import Testing

@testable import Platform

@Suite(.timeLimit(.minutes(1))) struct SemaphoreTests {
    /// Waits for what other tasks do, which leaves no other trace.
    private func until(_ condition: () -> Bool) async {
        while !condition() { await Task.yield() }
    }

    @Test func `who finds too few permits free waits, and does not hold up its own end`()
        async throws
    {
        let semaphore = Semaphore(10)
        #expect(try await semaphore.acquire(8) == 8)
        let waiter = Task { try await semaphore.acquire(5) }
        await until { semaphore.isWaitedFor }
        semaphore.release(8)
        #expect(try await waiter.value == 5)
        #expect(!semaphore.isWaitedFor)
    }

    @Test func `nobody overtakes who waits for much`() async throws {
        let semaphore = Semaphore(10)
        try await semaphore.acquire(8)
        let large = Task { try await semaphore.acquire(9) }
        await until { semaphore.isWaitedFor }
        let small = Task { try await semaphore.acquire(1) }
        semaphore.release(8)
        #expect(try await large.value == 9)
        #expect(try await small.value == 1)
        #expect(!semaphore.isWaitedFor)
    }

    @Test func `who wants more than there is gets all`() async throws {
        let semaphore = Semaphore(10)
        #expect(try await semaphore.acquire(100) == 10)
        semaphore.release(10)
        #expect(try await semaphore.acquire(10) == 10)
    }

    @Test func `who gives up waiting lets those behind it in`() async throws {
        let semaphore = Semaphore(10)
        try await semaphore.acquire(8)
        let large = Task { try await semaphore.acquire(9) }
        await until { semaphore.isWaitedFor }
        let small = Task { try await semaphore.acquire(2) }
        for _ in 0..<100 { await Task.yield() }
        large.cancel()
        await #expect(throws: CancellationError.self) { try await large.value }
        #expect(try await small.value == 2)
        semaphore.release(10)
        #expect(try await semaphore.acquire(10) == 10)
    }

    @Test func `each place is held by one task at a time, whoever is cancelled`() async throws {
        let semaphore = Semaphore(3)
        let held = Counter()
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<200 {
                group.addTask {
                    let task = Task {
                        let taken = try await semaphore.acquire(1 + number % 3)
                        held.add(taken)
                        await Task.yield()
                        held.add(-taken)
                        semaphore.release(taken)
                    }
                    if number.isMultiple(of: 5) { task.cancel() }
                    _ = await task.result
                }
            }
        }
        #expect(held.highest <= 3)
        #expect(try await semaphore.acquire(3) == 3)
    }
}

/// How many there are, and were at the most.
private final class Counter: Sendable {
    private let state = Mutex((now: 0, highest: 0))

    var highest: Int { state.withLock { $0.highest } }

    func add(_ count: Int) {
        state.withLock { state in
            state.now += count
            state.highest = max(state.highest, state.now)
        }
    }
}
