import Records
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
