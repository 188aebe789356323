import Compression
import Crypto
import Foundation
import Records
import TestSupport
import Testing

@testable import Transforms

@Suite struct ExpansionTests {
    private func expand(_ record: [UInt8], _ change: (inout Processing) -> Void) -> Expansion {
        var processing = Processing()
        change(&processing)
        var expansion = Expansion(processing)
        record.withUnsafeBytes { expansion.add($0, 0..<record.count) }
        return expansion
    }

    /// What came out of a record, each with its bytes, or with why there are none.
    private func texts(
        _ record: [UInt8],
        _ change: (inout Processing) -> Void = { _ in }
    ) -> [String] {
        var processing = Processing()
        change(&processing)
        let expansion = expand(record, change)
        let data = processing.unpacksRecords ? expansion.data : record
        return expansion.items.map { item in
            item.failure.map { "\($0)" } ?? String(decoding: data[item.range], as: UTF8.self)
        }
    }

    private func gzip(_ text: String) throws -> [UInt8] {
        let compressor = GzipCompressor(level: 1)
        var packed: [UInt8] = []
        try Array(text.utf8).withUnsafeBytes { bytes in
            try compressor.write(bytes) { packed += $0 }
        }
        try compressor.finish { packed += $0 }
        return packed
    }

    /// One field of a protobuf message, of those with a length.
    private func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] {
        var length: [UInt8] = []
        var rest = bytes.count
        repeat {
            length.append(UInt8(rest & 0x7f) | (rest > 0x7f ? 0x80 : 0))
            rest >>= 7
        } while rest > 0
        return [number << 3 | 2] + length + bytes
    }

    private func aggregate(_ message: [UInt8]) -> [UInt8] {
        [0xf3, 0x89, 0x9a, 0xc2] + message + Array(Insecure.MD5.hash(data: message))
    }

    private func aggregate(of records: [String]) -> [UInt8] {
        let message = records.reduce(field(1, Array("key".utf8))) { message, record in
            message + field(3, [0x08, 0x00] + field(3, Array(record.utf8)))
        }
        return aggregate(message)
    }

    @Test func `a record without anything to expand stays as it is`() {
        #expect(texts(Array("{}\n{}".utf8)) == ["{}\n{}"])
        #expect(texts([]) == [""])
    }

    @Test func `KPL aggregates are taken apart, and what only looks like one is not`() {
        let whole = aggregate(of: ["one", "", "three"])
        #expect(texts(whole) == ["one", "", "three"])
        for index in whole.indices {
            var changed = whole
            changed[index] ^= 0x40
            #expect(
                expand(changed) { _ in }.items.map(\.range) == [0..<changed.count],
                "byte \(index)"
            )
            let cut = Array(whole[..<index])
            #expect(expand(cut) { _ in }.items.map(\.range) == [0..<cut.count], "cut at \(index)")
        }
        #expect(expand(aggregate([])) { _ in }.items.count == 1)
    }

    @Test func `no message in an aggregate's frame brings anything down`() {
        var generator = SeededGenerator(seed: 81)
        let good = Array(aggregate(of: ["one", "two", String(repeating: "x", count: 300)]))
        let message = Array(good[4..<good.count - 16])
        for _ in 0..<200_000 {
            var changed = message
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place = Int.random(in: 0..<changed.count, using: &generator)
                changed[place] = UInt8.random(in: 0...255, using: &generator)
            }
            let framed = aggregate(changed)
            let expansion = expand(framed) { _ in }
            #expect(!expansion.items.isEmpty)
            #expect(expansion.items.allSatisfy { $0.range.upperBound <= framed.count })
        }
    }

    @Test func `gzip is unpacked, all members of it, and must be JSON`() throws {
        let two = try gzip("{\"a\":") + gzip("1}")
        #expect(texts(two) { $0.decompresses = true } == ["{\"a\":1}"])
        for bad in [try gzip("no json"), Array(two.dropLast()), Array("{}".utf8), two + [0], []] {
            let expansion = expand(bad) { $0.decompresses = true }
            #expect(expansion.items.map(\.failure) == [.decompression])
            #expect(Array(expansion.data[expansion.items[0].original]) == bad)
        }
    }

    @Test func `the messages of CloudWatch Logs end in line feeds`() throws {
        func extract(_ document: String) throws -> [String] {
            texts(try gzip(document)) {
                $0.decompresses = true
                $0.extractsMessages = true
            }
        }
        let events =
            #"[{"id":"1","message":"a\nb"},{"message":""},{"timestamp":1,"message":"ü\u00e9"}]"#
        #expect(
            try extract(#"{"logEvents":\#(events),"messageType":"DATA_MESSAGE"}"#)
                == ["a\nb\n\nüé\n"]
        )
        #expect(
            try extract(#"{"messageType":"CONTROL_MESSAGE","logEvents":[{"message":"ping"}]}"#)
                == [""]
        )
        for other in [
            "{}", "[]", #"{"messageType":"OTHER","logEvents":[]}"#,
            #"{"messageType":"DATA_MESSAGE","logEvents":[{"message":1}]}"#,
            #"{"messageType":"DATA_MESSAGE"}"#,
        ] {
            #expect(try extract(other) == ["decompression"])
        }
    }

    @Test func `JSON objects become records of their own, byte for byte`() {
        func split(_ text: String) -> [String] {
            texts(Array(text.utf8)) { $0.deaggregation = .json }
        }
        #expect(split(#"{"a": 1}{"b":{}}"#) == [#"{"a": 1}"#, #"{"b":{}}"#])
        #expect(split("\n {} \r\n\t{ }\n") == ["{}", "{ }"])
        for bad in ["", " ", "[{}]", "{} 1", "{},{}", "{", "{}x", "\"a\""] {
            #expect(split(bad) == ["deaggregation"], "\(bad)")
        }
        #expect(split(String(repeating: "{}", count: 500)).count == 500)
        let many = String(repeating: "{}", count: 501)
        #expect(split(many) == [many])
    }

    @Test func `pieces stand between delimiters`() {
        func split(_ text: String, _ delimiter: String) -> [String] {
            texts(Array(text.utf8)) { $0.deaggregation = .delimited(Array(delimiter.utf8)) }
        }
        #expect(split("a,b", ",") == ["a", "b"])
        #expect(split(",a,,b,", ",") == ["", "a", "", "b"])
        #expect(split("a--b---c", "--") == ["a", "b", "-c"])
        #expect(split("none", ",") == ["none"])
        #expect(split(",", ",") == [""])
        #expect(split("", ",") == [""])
        let many = String(repeating: "x,", count: 501)
        #expect(split(many, ",") == [many])
        #expect(split(String(many.dropLast(2)), ",").count == 500)
    }
}
