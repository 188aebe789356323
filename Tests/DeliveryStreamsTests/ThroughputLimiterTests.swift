import Records
import TestSupport
import Testing

@testable import DeliveryStreams

@Suite struct ThroughputLimiterTests {
    private let start = Timestamp(milliseconds: 1_000_000)

    private func batch(_ count: Int, bytes: Int = 10) -> RecordBatch {
        RecordBatch(Array(repeating: [UInt8](repeating: 1, count: bytes), count: count))
    }

    @Test func `a second's records get in at once, and as many again with each second`() {
        let limiter = ThroughputLimiter(ThroughputLimit(recordsPerSecond: 100), now: start)
        #expect(limiter.admit(batch(70), now: start) == 70)
        #expect(limiter.admit(batch(70), now: start) == 30)
        #expect(limiter.admit(batch(1), now: start) == 0)
        #expect(limiter.admit(batch(70), now: start + .milliseconds(500)) == 50)
        #expect(limiter.admit(batch(500), now: start + .seconds(3600)) == 100)
    }

    @Test func `requests beyond the limit are refused whole, and refused ones do not count`() {
        let limiter = ThroughputLimiter(ThroughputLimit(requestsPerSecond: 2), now: start)
        #expect([1, 2, 3, 4].map { _ in limiter.admit(batch(3), now: start) } == [3, 3, 0, 0])
        #expect(limiter.admit(batch(3), now: start + .milliseconds(500)) == 3)
        #expect(limiter.admit(batch(3), now: start + .milliseconds(500)) == 0)
    }

    @Test func `a record larger than a second's bytes gets in, and is paid for`() {
        let limiter = ThroughputLimiter(ThroughputLimit(bytesPerSecond: 1000), now: start)
        #expect(limiter.admit(batch(2, bytes: 5000), now: start) == 1)
        #expect(limiter.admit(batch(1), now: start + .seconds(3)) == 0)
        #expect(limiter.admit(batch(1), now: start + .milliseconds(4100)) == 1)
    }

    @Test func `a clock that is set back neither gives nor takes`() {
        let limiter = ThroughputLimiter(ThroughputLimit(recordsPerSecond: 10), now: start)
        #expect(limiter.admit(batch(10), now: start) == 10)
        #expect(limiter.admit(batch(1), now: start + .seconds(-60)) == 0)
        #expect(limiter.admit(batch(20), now: start + .seconds(-59)) == 10)
    }

    @Test func `over a random minute a stream takes what its limits allow, and no more`() {
        var generator = SeededGenerator(seed: 8)
        let limit = ThroughputLimit(
            recordsPerSecond: 50,
            requestsPerSecond: 5,
            bytesPerSecond: 2000
        )
        let limiter = ThroughputLimiter(limit, now: start)
        var now = start
        var records = 0
        var requests = 0
        while now < start + .seconds(60) {
            let count = limiter.admit(
                batch(Int.random(in: 1...40, using: &generator), bytes: 50),
                now: now
            )
            records += count
            requests += count > 0 ? 1 : 0
            now = now + .milliseconds(Int.random(in: 1...100, using: &generator))
        }
        #expect(records * 50 <= 61 * 2000 + 50)
        #expect(requests <= 61 * 5)
        #expect(records * 50 > 55 * 2000)
    }

    @Test func `the first pattern that matches a name counts`() {
        let limits = ThroughputLimits([
            (Glob("logs-*"), ThroughputLimit(recordsPerSecond: 1)),
            (Glob("*"), ThroughputLimit(recordsPerSecond: 2)),
        ])
        let logs = limits.limiter(ofStream: "logs-a", now: start)
        #expect(logs?.admit(batch(5), now: start) == 1)
        #expect(limits.limiter(ofStream: "other", now: start)?.admit(batch(5), now: start) == 2)
        #expect(ThroughputLimits().limiter(ofStream: "other", now: start) == nil)
    }

    @Test func `the first records of a batch are a batch`() {
        let records = (0..<5).map { [UInt8](repeating: UInt8($0), count: $0 * 7) }
        for count in 0...5 {
            #expect(RecordBatch(records).prefix(count).records == Array(records.prefix(count)))
        }
    }
}
