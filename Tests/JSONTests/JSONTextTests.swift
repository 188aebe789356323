import Foundation
import JSON
import Testing

@Suite struct JSONTextTests {
    /// What other parts of this program, and those that read its lines, have always seen.
    private func foundation(_ text: String) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        return String(decoding: try encoder.encode(text), as: UTF8.self)
    }

    @Test func `every character of the lowest plane is written as Foundation writes it`() throws {
        var all = ""
        for scalar in (UInt32(0)...0xffff).compactMap(UnicodeScalar.init) {
            all.unicodeScalars.append(scalar)
            if scalar.value < 0x3000 {
                let text = String(scalar)
                #expect(Array(JSONText.quoted(text).utf8) == Array(try foundation(text).utf8))
            }
        }
        #expect(Array(JSONText.quoted(all).utf8) == Array(try foundation(all).utf8))
    }

    @Test(
        arguments: [
            ("", "\"\""), ("a/b", "\"a/b\""), ("\"\\", #""\"\\""#),
            ("\u{8}\t\n\u{c}\r", #""\b\t\n\f\r""#), ("\0\u{1f}", #""\u0000\u001f""#),
            ("\u{7f}\u{2028}é😀", "\"\u{7f}\u{2028}é😀\""),
            ("e\u{301}\"\u{301}", "\"e\u{301}\\\"\u{301}\""),
        ]
    )
    func `a text is escaped where it must be`(text: String, json: String) {
        #expect(Array(JSONText.quoted(text).utf8) == Array(json.utf8))
    }

    @Test func `a text is put behind what is there`() {
        var json = Array("[".utf8)
        JSONText.append("a\nb", to: &json)
        JSONText.append(String(repeating: "x", count: 1000), to: &json)
        let rest = String(repeating: "x", count: 1000)
        #expect(json == Array("[\"a\\nb\"\"\(rest)\"".utf8))
    }
}
