import Records
import TestSupport
import Testing

@testable import DeliveryStreams

@Suite struct StreamTapTests {
    private let now = Timestamp(milliseconds: 1_000_000)

    private func receipt(_ first: UInt64, _ count: Int) -> AppendReceipt {
        AppendReceipt(logIdentity: 7, firstRecord: first, recordCount: count)
    }

    private func texts(_ records: [TailedRecords.Record]) -> [String] {
        records.map { String(decoding: $0.data, as: UTF8.self) }
    }

    @Test func `nothing is remembered until somebody watches`() {
        let tap = StreamTap(TapMemory(), ManualTime())
        tap.offer(RecordBatch([Array("a".utf8)]), receipt(0, 1)) { now }
        let first = tap.records(from: 1, tail: 1, logIdentity: 7)
        #expect(first.records.isEmpty && first.skipped == 0 && first.next == 1)
        tap.offer(RecordBatch([Array("b".utf8), Array("c".utf8)]), receipt(1, 2)) { now }
        let second = tap.records(from: 1, tail: 3, logIdentity: 7)
        #expect(texts(second.records) == ["b", "c"])
        #expect(second.records.map(\.id.number) == [1, 2])
        #expect(second.next == 3)
    }

    @Test func `records of a batch that were not taken are not shown`() {
        let tap = StreamTap(TapMemory(), ManualTime())
        _ = tap.records(from: 0, tail: 0, logIdentity: 7)
        tap.offer(RecordBatch([Array("a".utf8), Array("b".utf8)]), receipt(0, 1)) { now }
        #expect(texts(tap.records(from: 0, tail: 1, logIdentity: 7).records) == ["a"])
    }

    @Test func `what is too much is forgotten and counted`() {
        let tap = StreamTap(TapMemory(), ManualTime())
        _ = tap.records(from: 0, tail: 0, logIdentity: 7)
        let record = [UInt8](repeating: 120, count: 1 << 20)
        for number in 0..<20 {
            tap.offer(RecordBatch([record]), receipt(UInt64(number), 1)) { now }
        }
        var place: UInt64 = 0
        var shown = 0
        var skipped: UInt64 = 0
        while place < 20 {
            let answer = tap.records(from: place, tail: 20, logIdentity: 7)
            shown += answer.records.count
            skipped += answer.skipped
            place = answer.next
        }
        #expect(shown > 0 && shown < 9)
        #expect(UInt64(shown) + skipped == 20)
    }

    @Test(.timeLimit(.minutes(1))) func `a tap lives while it is asked, and a little longer`() async
    {
        let time = ManualTime()
        let memory = TapMemory()
        let tap = StreamTap(memory, time)
        _ = tap.records(from: 0, tail: 0, logIdentity: 7)
        tap.offer(RecordBatch([Array("a".utf8)]), receipt(0, 1)) { now }
        for _ in 0..<2 {
            // Looks at itself, and is asked in time.
            for _ in 0..<2 { await lookAt(time) }
            await time.whenSleepers()
            #expect(texts(tap.records(from: 0, tail: 1, logIdentity: 7).records) == ["a"])
        }
        #expect(memory.bytes > 0)
        for _ in 0..<3 { await lookAt(time) }
        while memory.bytes > 0 { await Task.yield() }
        tap.offer(RecordBatch([Array("b".utf8)]), receipt(1, 1)) { now }
        #expect(memory.bytes == 0)
        // Who comes again begins anew.
        let answer = tap.records(from: 0, tail: 2, logIdentity: 7)
        #expect(answer.records.isEmpty && answer.skipped == 2 && answer.next == 2)
    }

    /// Lets the time go by after which a tap looks whether anybody watches.
    private func lookAt(_ time: ManualTime) async {
        await time.whenSleepers()
        time.advance(by: StreamTap.checkInterval)
    }
}
