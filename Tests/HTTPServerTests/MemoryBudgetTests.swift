import TestSupport
import Testing

@testable import HTTPServer

extension MemoryBudgetStateMachine {
    /// A body that may come to `limit` bytes and has `bytes` of them; nil where it waits.
    fileprivate mutating func begun(limit: Int, has bytes: Int) -> Claim? {
        let claim = begin(limit: limit)
        return grow(claim, to: bytes) ? claim : nil
    }
}

@Suite struct MemoryBudgetTests {
    private static let mebibyte = 1 << 20

    private func budget(mebibytes: Int = 64) -> MemoryBudgetStateMachine {
        MemoryBudgetStateMachine(
            bytes: mebibytes * Self.mebibyte,
            bytesForSmall: Self.mebibyte,
            largestSmall: 64 * 1024
        )
    }

    @Test func `slow bodies hold what they brought, and not what they may bring`() {
        var budget = budget()
        let slow = (0..<100).compactMap { _ in
            budget.begun(limit: 8 * Self.mebibyte, has: 256 * 1024)
        }
        #expect(slow.count == 100)
        let quick = budget.begin(limit: 4 * Self.mebibyte)
        let steps = (1...16).map { budget.grow(quick, to: $0 * 256 * 1024) }
        #expect(!steps.contains(false))
    }

    @Test func `small bodies do not wait for large ones`() throws {
        var budget = budget(mebibytes: 8)
        let whole = 8 * Self.mebibyte
        let held = budget.begun(limit: whole, has: whole)
        let large = try #require(held)
        let next = budget.begin(limit: whole)
        let isNext = budget.grow(next, to: 1)
        #expect(!isNext)
        let small = (0..<16).compactMap { _ in budget.begun(limit: 64 * 1024, has: 64 * 1024) }
        #expect(small.count == 16)
        let one = budget.begin(limit: 1)
        let isOne = budget.grow(one, to: 1)
        #expect(!isOne)
        let ready = budget.end(large)
        #expect(ready == [next, one])
    }

    @Test func `small bodies leave a large one what is given back`() throws {
        var budget = budget(mebibytes: 8)
        let whole = 8 * Self.mebibyte
        // The store for small ones is full, and others took of the rest.
        let small = (0..<32).compactMap { _ in budget.begun(limit: 64 * 1024, has: 64 * 1024) }
        #expect(small.count == 32)
        let large = budget.begin(limit: whole)
        let isLarge = budget.grow(large, to: whole)
        #expect(!isLarge)
        let next = budget.begin(limit: 64 * 1024)
        let isNext = budget.grow(next, to: 64 * 1024)
        #expect(!isNext)
        var ready: [UInt64] = []
        for claim in small[16...] { ready += budget.end(claim) }
        #expect(ready == [large])
    }

    @Test func `who waits and goes is not waited for`() throws {
        var budget = budget(mebibytes: 8)
        let whole = 8 * Self.mebibyte
        let held = budget.begun(limit: whole, has: whole)
        let first = try #require(held)
        let second = budget.begin(limit: whole)
        let isThere = budget.grow(second, to: whole)
        #expect(!isThere)
        var ready = budget.end(second)
        #expect(ready.isEmpty && !budget.isWaitedFor)
        ready = budget.end(first)
        #expect(ready.isEmpty)
        #expect(budget.free == whole)
    }

    /// A body as its client sends it.
    private struct Sent {
        var claim: UInt64
        var limit: Int
        var arrived = 0
        var isWaiting = false
    }

    /// Any number of bodies that arrive in any order, some of which break off: as long as those that may go
    /// on do, all end, and all is given back.
    @Test func `bodies never wait for each other in a ring`() {
        var generator = SeededGenerator(seed: 7)
        for round in 0..<300 {
            let total = Int.random(in: 8...16, using: &generator) * Self.mebibyte
            var budget = MemoryBudgetStateMachine(
                bytes: total,
                bytesForSmall: Self.mebibyte,
                largestSmall: 64 * 1024
            )
            var sent: [Sent] = []
            var left = 40
            while left > 0 || !sent.isEmpty {
                if left > 0, sent.isEmpty || Bool.random(using: &generator) {
                    left -= 1
                    let limit = Int.random(in: 1...8 * Self.mebibyte, using: &generator)
                    sent.append(Sent(claim: budget.begin(limit: limit), limit: limit))
                }
                let going = sent.indices.filter { !sent[$0].isWaiting }
                guard let index = going.randomElement(using: &generator) else {
                    Issue.record("all wait, in round \(round)")
                    break
                }
                var ready: [UInt64] = []
                let isOver = sent[index].arrived == sent[index].limit
                if isOver || Int.random(in: 0..<200, using: &generator) == 0 {
                    ready = budget.end(sent.remove(at: index).claim)
                } else {
                    let step = Int.random(in: 1...Self.mebibyte, using: &generator)
                    let next = min(sent[index].limit, sent[index].arrived + step)
                    sent[index].arrived = next
                    sent[index].isWaiting = !budget.grow(sent[index].claim, to: next)
                }
                for index in sent.indices where ready.contains(sent[index].claim) {
                    sent[index].isWaiting = false
                }
                #expect(budget.free >= 0 && budget.freeForSmall >= 0)
            }
            #expect(budget.free == total && budget.freeForSmall == Self.mebibyte)
        }
    }
}
