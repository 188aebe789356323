import Testing

@testable import Transforms

@Suite struct OutputTests {
    @Test func `output is cut into lines of bounded length without control characters`() {
        var splitter = LineSplitter()
        var lines: [String] = []
        let long = String(repeating: "x", count: 2000)
        for part in ["one\ntw", "o\r\n\n", "\u{1b}[31mred\tblue\n", long, long + "\nrest"] {
            splitter.add(Array(part.utf8)[...], isEnd: false) { lines.append($0) }
        }
        splitter.add([], isEnd: true) { lines.append($0) }
        let cut = String(repeating: "x", count: 1024) + "..."
        #expect(lines == ["one", "two", "", "?[31mred\tblue", cut, "rest"])
    }

    @Test func `a flood of lines is thinned out, and what was left out is counted`() {
        var rate = LineRate()
        let start = ContinuousClock.now
        var taken = 0
        for _ in 0..<1000 where rate.take(at: start) { taken += 1 }
        #expect((100...101).contains(taken))
        #expect(rate.takeLeftOut(at: start) == nil)
        #expect(rate.takeLeftOut(at: start + .seconds(1)) == 1000 - taken)
        #expect(rate.takeLeftOut(at: start + .seconds(2)) == nil)
        let isTaken = rate.take(at: start + .seconds(10))
        #expect(isTaken)
    }
}
