import Foundation
import Platform
import TestSupport
import Testing

/// Hexadecimal digits, base64 and UUIDs.
@Suite struct TextTests {
    @Test(arguments: [0, 1, 0x9f, 0xdead_beef_0123_4567, .max] as [UInt64])
    func `a number has sixteen digits`(number: UInt64) {
        let expected = String(format: "%016llx", number)
        #expect(Hexadecimal.text(number) == expected)
        var space = [UInt8](repeating: 0, count: 17)
        space.withUnsafeMutableBytes { Hexadecimal.write(number, to: $0) }
        #expect(space == Array(expected.utf8) + [0])
    }

    @Test func `digits say all bytes, and are read back`() {
        let bytes = Array(UInt8.min...UInt8.max)
        let text = bytes.map { String(format: "%02x", $0) }.joined()
        #expect(Hexadecimal.text(bytes) == text)
        #expect(Hexadecimal.bytes(Array(text.utf8)) == bytes)
        let capitals = Array(text.uppercased().utf8)
        #expect(Hexadecimal.bytes(capitals) == nil)
        #expect(Hexadecimal.bytes(capitals, allowsCapitals: true) == bytes)
    }

    @Test(arguments: ["0", "0g", "-1", " 1", "é"])
    func `what are no digits is refused`(text: String) {
        #expect(Hexadecimal.bytes(Array(text.utf8), allowsCapitals: true) == nil)
    }

    @Test func `base64 is that of Foundation, wherever it is written`() {
        var generator = SeededGenerator(seed: 7)
        for count in 0..<100 {
            let bytes = generator.bytes(count)
            let expected = Data(bytes).base64EncodedString()
            #expect(Base64.text(bytes) == expected)
            #expect(Base64.count(ofBytes: count) == expected.utf8.count)
            var text = Array("x".utf8)
            bytes.withUnsafeBytes { Base64.append($0, to: &text) }
            #expect(text == Array("x\(expected)".utf8))
        }
    }

    @Test func `a UUID is grouped, and random ones are of version 4`() throws {
        #expect(
            UUIDText.text(high: 0x0123_4567_89ab_cdef, low: 0xfedc_ba98_7654_3210)
                == "01234567-89ab-cdef-fedc-ba9876543210"
        )
        var seen: Set<String> = []
        for _ in 0..<1000 {
            let text = UUIDText.random()
            #expect(text.utf8.count == UUIDText.byteCount)
            let uuid = try #require(UUID(uuidString: text))
            #expect(uuid.uuidString.lowercased() == text)
            #expect(uuid.uuid.6 >> 4 == 4)
            #expect(uuid.uuid.8 >> 6 == 2)
            seen.insert(text)
        }
        #expect(seen.count == 1000)
    }
}
