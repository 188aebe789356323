import Records
import TestSupport
import Testing

@testable import Delivery

@Suite struct BufferStateMachineTests {
    private static let megabyte: UInt64 = 1024 * 1024
    private let now = Timestamp(milliseconds: 1_000_000)

    private func mark(_ number: UInt64, bytes: UInt64) -> LogMark {
        LogMark(position: LogPosition(offset: number), records: number, bytes: bytes)
    }

    private func machine(inFlight: Int = 4) -> BufferStateMachine {
        BufferStateMachine(
            bounds: .init(bytes: Self.megabyte, intervalSeconds: 60, maximumInFlight: inFlight),
            checkpoint: .start,
            resumed: [],
            nextSequence: 1
        )
    }

    @Test func `an empty log is waited for`() {
        var machine = machine()
        #expect(machine.next(tail: .start, now: now) == .waitForRecords(0))
    }

    @Test func `a buffer goes out when it is old enough`() {
        var machine = machine()
        let tail = mark(5, bytes: 100)
        #expect(machine.next(tail: tail, now: now) == .findArrival(after: .start))
        machine.arrivalFound(now, since: now)
        let due = now + .seconds(60)
        #expect(
            machine.next(tail: tail, now: now) == .wait(until: due, orBytes: Self.megabyte)
        )
        #expect(
            machine.next(tail: tail, now: due)
                == .seal(
                    BufferCut(
                        sequence: 1,
                        start: .start,
                        limit: tail,
                        bytes: Self.megabyte,
                        arrival: now,
                        joinsCheckpoint: true
                    )
                )
        )
        machine.sealed(machine.nextSequence, end: tail)
        #expect(machine.next(tail: tail, now: due) == .waitForRecords(5))
    }

    @Test func `a buffer goes out when it is large enough`() {
        var machine = machine()
        machine.arrivalFound(now, since: now)
        let tail = mark(5, bytes: Self.megabyte)
        #expect(
            machine.next(tail: tail, now: now)
                == .seal(
                    BufferCut(
                        sequence: 1,
                        start: .start,
                        limit: tail,
                        bytes: Self.megabyte,
                        arrival: now,
                        joinsCheckpoint: true
                    )
                )
        )
    }

    @Test func `no more buffers are sealed than may be on their way`() {
        var machine = machine(inFlight: 1)
        machine.arrivalFound(now, since: now)
        let tail = mark(10, bytes: 3 * Self.megabyte)
        _ = machine.next(tail: tail, now: now)
        machine.sealed(machine.nextSequence, end: mark(3, bytes: Self.megabyte))
        #expect(machine.next(tail: tail, now: now) == .waitForSettlement)
        _ = machine.settled(1)
        #expect(machine.next(tail: tail, now: now) != .waitForSettlement)
    }

    @Test func `a buffer that takes long does not hold up those behind it, up to a bound`() {
        var machine = machine(inFlight: 2)
        let tail = mark(1000, bytes: 1000 * Self.megabyte)
        var sealed: UInt64 = 0
        func seal() {
            sealed += 1
            machine.arrivalFound(now, since: now)
            machine.sealed(machine.nextSequence, end: mark(sealed, bytes: sealed * Self.megabyte))
        }
        seal()
        while machine.next(tail: tail, now: now) != .waitForSettlement {
            seal()
            #expect(machine.settled(sealed) == nil)
        }
        #expect(sealed == UInt64(2 * Limits.settledBuffersBehindOne))
        #expect(machine.settled(1)?.finished.count == Int(sealed))
    }

    @Test func `buffers grow with the backlog up to their bound, and shrink with it`() {
        let bounds = BufferBounds(
            bytes: Self.megabyte,
            intervalSeconds: 60,
            maximumInFlight: 4,
            maximumBytes: 100 * Self.megabyte
        )
        let few = Limits.backlogBuffers
        #expect(bounds.bytes(waiting: 0) == Self.megabyte)
        #expect(bounds.bytes(waiting: few * Self.megabyte) == Self.megabyte)
        #expect(bounds.bytes(waiting: (few + 1) * Self.megabyte + few) == 2 * Self.megabyte)
        #expect(bounds.bytes(waiting: 20 * few * Self.megabyte) == 32 * Self.megabyte)
        #expect(bounds.bytes(waiting: .max) == 100 * Self.megabyte)
        var last: UInt64 = 0
        for waiting in stride(from: 0, to: 2000 * Self.megabyte, by: Int(Self.megabyte)) {
            let size = bounds.bytes(waiting: waiting)
            #expect(size >= last)
            last = size
        }
    }

    @Test func `resumed buffers count, and the next one begins behind them`() {
        var machine = BufferStateMachine(
            bounds: .init(bytes: 5 * Self.megabyte, intervalSeconds: 300, maximumInFlight: 2),
            checkpoint: .start,
            resumed: [.init(sequence: 7, end: mark(4, bytes: 10))],
            nextSequence: 8
        )
        #expect(machine.next(tail: mark(4, bytes: 10), now: now) == .waitForRecords(4))
        #expect(machine.settled(7)?.checkpoint == mark(4, bytes: 10))
    }

    @Test func `buffers of one way wait until those of the other are settled`() {
        var machine = machine()
        machine.sealed(machine.nextSequence, end: mark(1, bytes: 1))
        machine.bounds.isJournalled = false
        let tail = mark(2, bytes: 2)
        #expect(machine.next(tail: tail, now: now) == .waitForSettlement)
        #expect(machine.settled(1)?.finished == [1])
        #expect(machine.next(tail: tail, now: now) == .findArrival(after: mark(1, bytes: 1)))
        machine.sealed(machine.nextSequence, end: tail)
        machine.bounds.isJournalled = true
        #expect(machine.next(tail: mark(3, bytes: 3), now: now) == .waitForSettlement)
        // What was transformed has no journal entry.
        #expect(machine.settled(2)?.finished == [])
    }

    @Test func `what was transformed waits from when it was found, and keeps its arrival`() {
        var machine = machine()
        let tail = mark(1, bytes: 1)
        let early = now + .seconds(-600)
        machine.arrivalFound(early, since: now)
        let due = now + .seconds(60)
        #expect(
            machine.next(tail: tail, now: now)
                == .wait(until: due, orBytes: Self.megabyte)
        )
        #expect(
            machine.next(tail: tail, now: due)
                == .seal(
                    BufferCut(
                        sequence: 1,
                        start: .start,
                        limit: tail,
                        bytes: Self.megabyte,
                        arrival: early,
                        joinsCheckpoint: true
                    )
                )
        )
    }

    @Test func `in whatever order buffers settle, the checkpoint moves in order and to the end`() {
        var generator = SeededGenerator(seed: 51)
        for _ in 0..<500 {
            let count = Int.random(in: 1...8, using: &generator)
            var machine = machine(inFlight: 8)
            for number in 1...count {
                machine.sealed(
                    machine.nextSequence,
                    end: mark(UInt64(number), bytes: UInt64(number))
                )
            }
            var settled: Set<Int> = []
            var checkpoint = LogMark.start
            var finished: [UInt64] = []
            for number in (1...count).shuffled(using: &generator) {
                settled.insert(number)
                let progress = machine.settled(UInt64(number))
                let inOrder = (1...count).prefix { settled.contains($0) }.count
                if let progress {
                    #expect(progress.checkpoint.position > checkpoint.position)
                    checkpoint = progress.checkpoint
                    finished += progress.finished
                }
                #expect(checkpoint.position.offset == UInt64(inOrder))
            }
            #expect(finished == (1...UInt64(count)).map { $0 })
        }
    }

    @Test func `waits between attempts grow to their cap and are spread`() {
        var delays = RetryDelays(base: .seconds(1), cap: .seconds(30))
        var generator = SeededGenerator(seed: 52)
        var longest: Duration = .zero
        for attempt in 0..<200 {
            let delay = delays.next(using: &generator)
            #expect(delay >= .zero && delay <= min(.seconds(30), .seconds(1 << min(attempt, 5))))
            longest = max(longest, delay)
        }
        #expect(longest > .seconds(25))
    }
}
