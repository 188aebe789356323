import Records
import TestSupport
import Testing

@testable import DeliveryStreams

@Suite struct FlushTests {
    private func mark(_ number: UInt64) -> LogMark {
        LogMark(position: LogPosition(offset: number), records: number, bytes: number)
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

@Suite struct StreamTapTests {
    private let now = Timestamp(milliseconds: 1_000_000)

    private func receipt(_ first: RecordNumber, _ count: Int) -> AppendReceipt {
        AppendReceipt(logIdentity: 7, runs: [.init(first: first, count: count)])
    }

    private func texts(_ records: [TailedRecords.Record]) -> [String] {
        records.map { String(decoding: $0.data, as: UTF8.self) }
    }

    @Test func `nothing is remembered until somebody watches`() {
        let tap = StreamTap(TapMemory())
        tap.offer(RecordBatch([Array("a".utf8)]), receipt(0, 1)) { now }
        let first = tap.records(from: 1, logIdentity: 7) { 1 }
        #expect(first.records.isEmpty && first.skipped == 0 && first.next == 1)
        tap.offer(RecordBatch([Array("b".utf8), Array("c".utf8)]), receipt(1, 2)) { now }
        let second = tap.records(from: 1, logIdentity: 7) { 3 }
        #expect(texts(second.records) == ["b", "c"])
        #expect(second.records.map(\.id.number) == [1, 2])
        #expect(second.next == 3)
    }

    @Test func `records of a batch that were not taken are not shown`() {
        let tap = StreamTap(TapMemory())
        _ = tap.records(from: 0, logIdentity: 7) { 0 }
        tap.offer(RecordBatch([Array("a".utf8), Array("b".utf8)]), receipt(0, 1)) { now }
        let answer = tap.records(from: 0, logIdentity: 7) { 1 }
        #expect(texts(answer.records) == ["a"])
    }

    @Test func `what is too much is forgotten and counted`() {
        let tap = StreamTap(TapMemory())
        _ = tap.records(from: 0, logIdentity: 7) { 0 }
        let record = [UInt8](repeating: 120, count: 1 << 20)
        for number in 0..<20 {
            tap.offer(RecordBatch([record]), receipt(RecordNumber(UInt64(number)), 1)) { now }
        }
        var place: RecordNumber = 0
        var shown = 0
        var skipped: UInt64 = 0
        while place < 20 {
            let answer = tap.records(from: place, logIdentity: 7) { 20 }
            shown += answer.records.count
            skipped += answer.skipped
            place = answer.next
        }
        #expect(shown > 0 && shown < 9)
        #expect(UInt64(shown) + skipped == 20)
    }

    @Test func `gaps between numbers are no forgotten records, and runs keep their numbers`() {
        let tap = StreamTap(TapMemory())
        #expect(tap.records(from: nil, logIdentity: 7) { 100 }.next == 100)
        let batch = RecordBatch(["a", "b", "c"].map { Array($0.utf8) })
        let runs: [AppendReceipt.Run] = [.init(first: 500, count: 2), .init(first: 900, count: 1)]
        tap.offer(batch, AppendReceipt(logIdentity: 7, runs: runs)) { now }
        let answer = tap.records(from: 100, logIdentity: 7) { 901 }
        #expect(answer.records.map(\.id.number) == [500, 501, 900])
        #expect(answer.skipped == 0)
        #expect(answer.next == 901)
        let rest = tap.records(from: 501, logIdentity: 7) { 901 }
        #expect(texts(rest.records) == ["b", "c"])
        #expect(tap.records(from: 40, logIdentity: 7) { 901 }.skipped == 60)
    }
}
