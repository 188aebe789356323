import Records
import TestSupport
import Testing

@testable import Client

@Suite struct LineBatcherTests {
    @Test(arguments: [false, true])
    func `any text, cut anywhere, is its lines`(strips: Bool) {
        var generator = SeededGenerator(seed: 5)
        for _ in 0..<200 {
            let bytes = generator.bytes(Int.random(in: 0...3000, using: &generator))
                .map { $0 < 8 ? UInt8(ascii: "\n") : $0 }
            var batcher = LineBatcher(stripsNewlines: strips)
            var records: [[UInt8]] = []
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = Int.random(in: 1...rest.count, using: &generator)
                records += batcher.add(Array(rest.prefix(count))).flatMap(\.self)
                rest = rest.dropFirst(count)
                if Bool.random(using: &generator) { records += batcher.takeRest() }
            }
            records += batcher.finish().flatMap(\.self)
            let lines = bytes.split(
                separator: UInt8(ascii: "\n"),
                omittingEmptySubsequences: false
            )
            var expected = lines.map { Array($0) + (strips ? [] : [UInt8(ascii: "\n")]) }
            expected.removeLast()
            if let last = lines.last, !last.isEmpty { expected.append(Array(last)) }
            #expect(records == expected)
        }
    }

    @Test func `a batch has at most 500 records and 4 MiB`() {
        var batcher = LineBatcher(stripsNewlines: false)
        let small = batcher.add(Array(repeating: UInt8(ascii: "\n"), count: 1001))
        #expect(small.map(\.count) == [500, 500])
        #expect(batcher.finish().map(\.count) == [1])
        let line = [UInt8](repeating: 0x61, count: 999_999) + [0x0a]
        var large: [[[UInt8]]] = []
        for _ in 0..<9 { large += batcher.add(line) }
        large += batcher.finish()
        #expect(large.map(\.count) == [4, 4, 1])
    }

    @Test func `a line that no record can hold is left out and named`() {
        var batcher = LineBatcher(stripsNewlines: true)
        _ = batcher.add(Array("a\n".utf8))
        _ = batcher.add([UInt8](repeating: 0x61, count: Limits.maximumRecordBytes + 1))
        _ = batcher.add(Array("\nb".utf8))
        #expect(batcher.finish() == [[Array("a".utf8), Array("b".utf8)]])
        #expect(batcher.oversized.map(\.line) == [2])
        #expect(batcher.oversized.map(\.bytes) == [Limits.maximumRecordBytes + 1])
    }
}
