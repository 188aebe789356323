import Dispatch
import Observability
import Platform
import Synchronization
import Testing

@Suite struct SharedWorkTests {
    /// How often something was made.
    private final class Made: Sendable {
        private let count = Atomic(0)
        func next() -> Int { count.add(1, ordering: .relaxed).newValue }
    }

    @Test func `everybody gets what was made after they asked`() async {
        let threads = WorkerThreads(count: 1)
        defer { threads.close() }
        let made = Made()
        let work = SharedWork(on: threads) { made.next() }
        for number in 1...5 { #expect(await work.value() == number) }
        let values = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<200 { group.addTask { await work.value() } }
            return await group.reduce(into: [Int]()) { $0.append($1) }
        }
        #expect(values.count == 200)
        #expect(values.allSatisfy { $0 > 5 })
    }

    @Test func `those who ask while the thread is busy share one`() async {
        let threads = WorkerThreads(count: 1)
        defer { threads.close() }
        let made = Made()
        let work = SharedWork(on: threads) { made.next() }
        let gate = DispatchSemaphore(value: 0)
        threads.submit { gate.wait() }
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<50 { group.addTask { _ = await work.value() } }
            // Lets the others ask first, more or less.
            for _ in 0..<1000 { await Task.yield() }
            gate.signal()
            await group.waitForAll()
        }
        #expect(made.next() < 50)
    }
}
