import Synchronization
import Testing

@testable import Delivery

@Suite(.timeLimit(.minutes(1))) struct PlacesTests {
    /// Waits for what other tasks do, which leaves no other trace.
    private func until(_ condition: () -> Bool) async {
        while !condition() { await Task.yield() }
    }

    @Test func `who finds too few places free waits, and does not hold up its own end`()
        async throws
    {
        let places = Places(10)
        #expect(try await places.take(8) == 8)
        let waiter = Task { try await places.take(5) }
        await until { places.isWaitedFor }
        places.giveBack(8)
        #expect(try await waiter.value == 5)
        #expect(!places.isWaitedFor)
    }

    @Test func `nobody overtakes who waits for much`() async throws {
        let places = Places(10)
        try await places.take(8)
        let large = Task { try await places.take(9) }
        await until { places.isWaitedFor }
        let small = Task { try await places.take(1) }
        places.giveBack(8)
        #expect(try await large.value == 9)
        #expect(try await small.value == 1)
        #expect(!places.isWaitedFor)
    }

    @Test func `who wants more than there is gets all`() async throws {
        let places = Places(10)
        #expect(try await places.take(100) == 10)
        places.giveBack(10)
        #expect(try await places.take(10) == 10)
    }

    @Test func `who gives up waiting lets those behind it in`() async throws {
        let places = Places(10)
        try await places.take(8)
        let large = Task { try await places.take(9) }
        await until { places.isWaitedFor }
        let small = Task { try await places.take(2) }
        for _ in 0..<100 { await Task.yield() }
        large.cancel()
        await #expect(throws: CancellationError.self) { try await large.value }
        #expect(try await small.value == 2)
        places.giveBack(10)
        #expect(try await places.take(10) == 10)
    }

    @Test func `each place is held by one task at a time, whoever is cancelled`() async throws {
        let places = Places(3)
        let held = Counter()
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<200 {
                group.addTask {
                    let task = Task {
                        let taken = try await places.take(1 + number % 3)
                        held.add(taken)
                        await Task.yield()
                        held.add(-taken)
                        places.giveBack(taken)
                    }
                    if number.isMultiple(of: 5) { task.cancel() }
                    _ = await task.result
                }
            }
        }
        #expect(held.highest <= 3)
        #expect(try await places.take(3) == 3)
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
