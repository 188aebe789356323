import Foundation
import Records
import TestSupport
import Testing

@Suite struct CivilTimeTests {
    @Test func `a known moment is shown as people write it`() {
        let time = CivilTime(Timestamp(milliseconds: 1_783_951_506_789))
        #expect(time.basicDateTime == "20260713T140506Z")
        #expect(time.millisecond == 789)
        #expect(time.weekday == 1)
        #expect(time.dayOfYear == 194)
    }

    @Test func `random moments agree with Foundation's calendar`() throws {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = try #require(TimeZone(identifier: "UTC"))
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<5000 {
            let seconds = Int64.random(in: -10_000_000_000...40_000_000_000, using: &generator)
            let parts = calendar.dateComponents(
                [.year, .month, .day, .hour, .minute, .second, .weekday, .dayOfYear],
                from: Date(timeIntervalSince1970: Double(seconds))
            )
            let time = CivilTime(Timestamp(milliseconds: seconds * 1000))
            // Foundation's Gregorian calendar is the Julian one before 1582, ours never is.
            try #require(seconds > -12_000_000_000)
            #expect(
                [time.year, time.month, time.day, time.hour, time.minute, time.second]
                    == [parts.year, parts.month, parts.day, parts.hour, parts.minute, parts.second]
            )
            #expect(time.weekday == ((parts.weekday ?? 0) + 5) % 7 + 1)
            #expect(time.dayOfYear == parts.dayOfYear)
        }
    }

    @Test func `seconds before the epoch round down`() {
        #expect(Timestamp(milliseconds: -1).seconds == -1)
        #expect(CivilTime(Timestamp(milliseconds: -1)).millisecond == 999)
    }

    @Test func `an HTTP date is written as it is read`() throws {
        let text = "Sun, 06 Nov 1994 08:49:37 GMT"
        let moment = try #require(Timestamp(fixdate: text))
        #expect(CivilTime(moment).fixdate == text)
        var generator = SeededGenerator(seed: 8)
        for _ in 0..<1000 {
            let seconds = Int64.random(in: 0...4_000_000_000, using: &generator)
            let moment = Timestamp(milliseconds: seconds * 1000)
            #expect(Timestamp(fixdate: CivilTime(moment).fixdate) == moment)
        }
    }
}
