import Records
import Testing

@testable import Delivery

@Suite struct FlushTests {
    private let now = Timestamp(milliseconds: 1_000_000)

    private func mark(_ number: UInt64) -> LogMark {
        LogMark(position: LogPosition(offset: number), records: number, bytes: number)
    }

    private func machine() -> BufferStateMachine {
        BufferStateMachine(
            bounds: .init(bytes: 1000, intervalSeconds: 900, maximumInFlight: 4),
            checkpoint: .start,
            resumed: [],
            nextSequence: 1
        )
    }

    @Test func `what was put before a flush goes out, and what is put after it waits`() {
        var machine = machine()
        machine.flush(to: mark(5))
        #expect(machine.next(tail: mark(8), now: now) == .findArrival(after: .start))
        machine.arrivalFound(now, now: now)
        #expect(
            machine.next(tail: mark(8), now: now)
                == .seal(
                    from: .start,
                    limit: mark(5),
                    bytes: 1000,
                    sequence: 1,
                    oldestArrival: now
                )
        )
        machine.sealed(end: mark(5))
        _ = machine.next(tail: mark(8), now: now)
        machine.arrivalFound(now, now: now)
        let due = now + .seconds(900)
        #expect(machine.next(tail: mark(8), now: now) == .wait(until: due, orBytes: 1005))
    }

    @Test func `a flush of nothing seals nothing`() {
        var machine = machine()
        machine.flush(to: .start)
        #expect(machine.next(tail: .start, now: now) == .waitForRecords(0))
    }

    @Test func `a flush that is behind another changes nothing`() {
        var machine = machine()
        machine.flush(to: mark(5))
        machine.flush(to: mark(3))
        machine.arrivalFound(now, now: now)
        guard case .seal(_, let limit, _, _, _) = machine.next(tail: mark(8), now: now) else {
            Issue.record("nothing is sealed")
            return
        }
        #expect(limit == mark(5))
    }

    @Test func `a flush has one end in each log, which is that after the first is passed`() throws {
        let flushes = Flushes()
        let first = try #require(flushes.target(nil, upTo: mark(5)))
        #expect(flushes.target(first.number, upTo: mark(9))?.source == mark(5))
        #expect(flushes.sourcePassed({ _ in false }) { mark(1) } == nil)
        #expect(flushes.isWaiting)
        var tail = mark(1)
        let end = flushes.sourcePassed({ _ in
            tail = mark(7)
            return true
        }) { tail }
        #expect(end == mark(7))
        #expect(!flushes.isWaiting)
        #expect(flushes.current(first).outcome == mark(7))
    }

    @Test func `flushes that have ended make room, and those that wait stay`() throws {
        let flushes = Flushes()
        let first = try #require(flushes.target(nil, upTo: mark(1)))
        for number in 2...3000 {
            _ = flushes.target(nil, upTo: mark(UInt64(number))) { $0.number != first.number }
        }
        #expect(flushes.target(first.number, upTo: mark(4000))?.source == mark(1))
        #expect(flushes.target(12_345, upTo: mark(5000))?.source == mark(5000))
        for number in 0..<1000 { _ = flushes.target(nil, upTo: mark(UInt64(number))) }
        #expect(flushes.target(nil, upTo: mark(1)) == nil)
        #expect(flushes.target(first.number, upTo: mark(1)) != nil)
    }
}
