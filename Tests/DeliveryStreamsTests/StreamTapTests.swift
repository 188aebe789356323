import Records
import TestSupport
import Testing

@testable import DeliveryStreams

@Suite struct StreamTapTests {
    private let now = Timestamp(milliseconds: 1_000_000)

    private func receipt(_ first: RecordNumber, _ count: Int) -> AppendReceipt {
        AppendReceipt(generation: 7, runs: [.init(first: first, count: count)])
    }

    private func texts(_ records: [TailedRecords.Record]) -> [String] {
        records.map { String(decoding: $0.data, as: UTF8.self) }
    }

    @Test func `nothing is remembered until somebody watches`() {
        let tap = StreamTap(TapMemory(), ManualTime())
        tap.offer(RecordBatch([Array("a".utf8)]), receipt(0, 1)) { now }
        let first = tap.records(from: 1) { 1 }
        #expect(first.records.isEmpty && first.skipped == 0 && first.next == 1)
        tap.offer(RecordBatch([Array("b".utf8), Array("c".utf8)]), receipt(1, 2)) { now }
        let second = tap.records(from: 1) { 3 }
        #expect(texts(second.records) == ["b", "c"])
        #expect(second.records.map(\.id.number) == [1, 2])
        #expect(second.next == 3)
    }

    @Test func `records of a batch that were not taken are not shown`() {
        let tap = StreamTap(TapMemory(), ManualTime())
        _ = tap.records(from: 0) { 0 }
        tap.offer(RecordBatch([Array("a".utf8), Array("b".utf8)]), receipt(0, 1)) { now }
        let answer = tap.records(from: 0) { 1 }
        #expect(texts(answer.records) == ["a"])
    }

    @Test func `what is too much is forgotten and counted`() {
        let tap = StreamTap(TapMemory(), ManualTime())
        _ = tap.records(from: 0) { 0 }
        let record = [UInt8](repeating: 120, count: 1 << 20)
        for number in 0..<20 {
            tap.offer(RecordBatch([record]), receipt(RecordNumber(UInt64(number)), 1)) { now }
        }
        var place: RecordNumber = 0
        var shown = 0
        var skipped: UInt64 = 0
        while place < 20 {
            let answer = tap.records(from: place) { 20 }
            shown += answer.records.count
            skipped += answer.skipped
            place = answer.next
        }
        #expect(shown > 0 && shown < 9)
        #expect(UInt64(shown) + skipped == 20)
    }

    @Test func `gaps between numbers are no forgotten records, and runs keep their numbers`() {
        let tap = StreamTap(TapMemory(), ManualTime())
        #expect(tap.records(from: nil) { 100 }.next == 100)
        let batch = RecordBatch(["a", "b", "c"].map { Array($0.utf8) })
        let runs: [AppendReceipt.Run] = [.init(first: 500, count: 2), .init(first: 900, count: 1)]
        tap.offer(batch, AppendReceipt(generation: 7, runs: runs)) { now }
        let answer = tap.records(from: 100) { 901 }
        #expect(answer.records.map(\.id.number) == [500, 501, 900])
        #expect(answer.skipped == 0)
        #expect(answer.next == 901)
        let rest = tap.records(from: 501) { 901 }
        #expect(texts(rest.records) == ["b", "c"])
        #expect(tap.records(from: 40) { 901 }.skipped == 60)
    }

    @Test(.timeLimit(.minutes(1))) func `a tap lives while it is asked, and a little longer`() async
    {
        let time = ManualTime()
        let memory = TapMemory()
        let tap = StreamTap(memory, time)
        _ = tap.records(from: 0) { 0 }
        tap.offer(RecordBatch([Array("a".utf8)]), receipt(0, 1)) { now }
        for _ in 0..<2 {
            // Looks at itself, and is asked in time.
            for _ in 0..<2 { await lookAt(time) }
            await time.whenSleepers()
            let answer = tap.records(from: 0) { 1 }
            #expect(texts(answer.records) == ["a"])
        }
        #expect(memory.bytes > 0)
        for _ in 0..<3 { await lookAt(time) }
        while !Task.isCancelled, memory.bytes > 0 { await Task.yield() }
        tap.offer(RecordBatch([Array("b".utf8)]), receipt(1, 1)) { now }
        #expect(memory.bytes == 0)
        // Who comes again begins anew.
        let answer = tap.records(from: 0) { 2 }
        #expect(answer.records.isEmpty && answer.skipped == 2 && answer.next == 2)
    }

    /// Lets the time go by after which a tap looks whether anybody watches.
    private func lookAt(_ time: ManualTime) async {
        await time.whenSleepers()
        time.advance(by: StreamTap.checkInterval)
    }
}
