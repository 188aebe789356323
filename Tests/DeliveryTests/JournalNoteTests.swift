import Destinations
import Records
import TestSupport
import Testing

@testable import Delivery

@Suite struct JournalNoteTests {
    private static func entry() -> JournalEntry {
        JournalEntry(
            sequence: 1,
            start: .start,
            end: .start,
            plan: ObjectPlan(
                bucket: "b",
                key: "k",
                uuid: "u",
                arrival: Timestamp(milliseconds: 0)
            ),
            firstAttempt: Timestamp(milliseconds: 0)
        )
    }

    @Test func `progress says which records are delivered`() {
        let progress = DeliveryProgress(next: 10, open: [2, 5, 9])
        let delivered = (0..<12).filter { progress.isDelivered(RecordNumber(UInt64($0))) }
        #expect(delivered == [0, 1, 3, 4, 6, 7, 8])
    }

    @Test func `of two that know something, each record is delivered that one knows to be`() {
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<2000 {
            func progress() -> DeliveryProgress {
                let next = UInt64.random(in: 0...12, using: &generator)
                let open = (0..<next).filter { _ in Bool.random(using: &generator) }
                return DeliveryProgress(
                    next: RecordNumber(next),
                    open: open.map { RecordNumber($0) }
                )
            }
            let (one, other) = (progress(), progress())
            var together = one
            together.merge(other)
            for number in (UInt64(0)..<14).map({ RecordNumber($0) }) {
                #expect(
                    together.isDelivered(number)
                        == (one.isDelivered(number) || other.isDelivered(number))
                )
            }
            var turned = other
            turned.merge(one)
            #expect(turned == together)
            turned.merge(one)
            #expect(turned == together)
        }
    }

    @Test func `notes that come twice or late say the same`() {
        var states: [LoadState] = []
        var state = LoadState(records: 1, bytes: 1, objectBytes: 1)
        states.append(state)
        for attempt in 1...3 {
            state.attempts = attempt
            state.number = attempt
            state.isOpen = true
            states.append(state)
            state.isOpen = false
            if attempt == 3 { state.givenUp = .init(code: "c", message: "m") }
            states.append(state)
        }
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<500 {
            var notes = states.map { JournalNote.load($0) }
            notes += [
                .settled, .progress(DeliveryProgress(next: 3, open: [])),
                .progress(DeliveryProgress(next: 2, open: [1])),
            ]
            notes += notes.filter { _ in Bool.random(using: &generator) }
            notes.shuffle(using: &generator)
            var entry = Self.entry()
            for note in notes { entry.merge(note) }
            #expect(entry.load == states.last)
            #expect(entry.isSettled == true)
            #expect(entry.progress == DeliveryProgress(next: 3, open: []))
        }
    }

    @Test func `the first failed records that were durable count`() {
        func kept(_ name: String) -> KeptRecords {
            KeptRecords(summary: FailureSummary(), byteCount: 0, sha256: [], name: name)
        }
        var entry = Self.entry()
        entry.merge(.kept(kept("first")))
        entry.merge(.kept(kept("second")))
        #expect(entry.kept?.name == "first")
        entry.merge(.keptAreDamaged)
        #expect(entry.kept == nil)
        entry.merge(.kept(kept("third")))
        #expect(entry.kept?.name == "third")
    }
}
