import TestSupport
import Testing

@testable import DurableLog

@Suite struct LogWriterStateMachineTests {
    private func machine(queued: Int = 100, group: Int = 30) -> LogWriterStateMachine<Int> {
        LogWriterStateMachine(maximumQueuedBytes: queued, maximumGroupBytes: group)
    }

    @Test func `what arrives while a group is written forms the next group`() {
        var machine = machine()
        #expect(machine.append(1, bytes: 10) == .startWriting)
        #expect(machine.takeGroup() == [1])
        #expect(machine.append(2, bytes: 10) == .none)
        #expect(machine.append(3, bytes: 10) == .none)
        #expect(machine.groupEnded() == .writeNext)
        #expect(machine.takeGroup() == [2, 3])
        #expect(machine.groupEnded() == .rest)
        #expect(machine.append(4, bytes: 10) == .startWriting)
    }

    @Test func `an item larger than a group goes alone`() {
        var machine = machine(queued: 200)
        #expect(machine.append(1, bytes: 90) == .startWriting)
        #expect(machine.append(2, bytes: 10) == .none)
        #expect(machine.takeGroup() == [1])
        #expect(machine.groupEnded() == .writeNext)
        #expect(machine.takeGroup() == [2])
    }

    @Test func `closing writes what was accepted and refuses the rest`() {
        var machine = machine()
        _ = machine.append(1, bytes: 10)
        #expect(machine.close() == .waitForWriter)
        #expect(machine.append(2, bytes: 10) == .rejectClosed)
        #expect(machine.takeGroup() == [1])
        #expect(machine.groupEnded() == .finishClosing)
        #expect(machine.close() == .none)
    }

    @Test func `random events keep order, bounds and the single writer`() {
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<200 {
            var machine = machine(queued: 100, group: 30)
            var accepted: [Int] = []
            var written: [Int] = []
            var isWriting = false
            var isClosed = false
            for item in 0..<200 {
                if isWriting, Bool.random(using: &generator) {
                    let group = machine.takeGroup()
                    #expect(!group.isEmpty)
                    written += group
                    isWriting = machine.groupEnded() == .writeNext
                    continue
                }
                if Int.random(in: 0..<100, using: &generator) == 0 {
                    _ = machine.close()
                    isClosed = true
                }
                let bytes = Int.random(in: 1...40, using: &generator)
                switch machine.append(item, bytes: bytes) {
                case .startWriting:
                    #expect(!isWriting && !isClosed)
                    isWriting = true
                    accepted.append(item)
                case .none:
                    #expect(isWriting && !isClosed)
                    accepted.append(item)
                case .rejectFull: #expect(machine.queuedBytes + bytes > 100)
                case .rejectClosed: #expect(isClosed)
                }
                #expect(machine.queuedBytes <= 100)
            }
            while isWriting {
                written += machine.takeGroup()
                isWriting = machine.groupEnded() == .writeNext
            }
            #expect(written == accepted)
            #expect(machine.queuedBytes == 0)
        }
    }
}
