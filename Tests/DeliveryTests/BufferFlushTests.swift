import Records
import Testing

@testable import Delivery

@Suite struct BufferFlushTests {
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
        machine.arrivalFound(now, since: now)
        #expect(
            machine.next(tail: mark(8), now: now)
                == .seal(
                    BufferCut(
                        sequence: 1,
                        start: .start,
                        limit: mark(5),
                        bytes: 1000,
                        arrival: now,
                        joinsCheckpoint: true
                    )
                )
        )
        machine.sealed(machine.nextSequence, end: mark(5))
        _ = machine.next(tail: mark(8), now: now)
        machine.arrivalFound(now, since: now)
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
        machine.arrivalFound(now, since: now)
        guard case .seal(let cut) = machine.next(tail: mark(8), now: now) else {
            Issue.record("nothing is sealed")
            return
        }
        #expect(cut.limit == mark(5))
    }
}
