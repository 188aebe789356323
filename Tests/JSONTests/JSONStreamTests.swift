import JSON
import TestSupport
import Testing

@Suite struct JSONStreamTests {
    /// What is found in a text that comes in pieces of so many bytes.
    private func events(
        _ text: [UInt8],
        pieces: Int,
        maximumTextBytes: Int = 100
    ) throws -> [String] {
        var stream = JSONStream(maximumTextBytes: maximumTextBytes)
        var found: [String] = []
        func take(_ event: JSONStream.Event) {
            let text: String =
                switch event {
                case .beginObject: "{"
                case .endObject: "}"
                case .beginArray: "["
                case .endArray: "]"
                case .name(let text): "name " + String(decoding: text, as: UTF8.self)
                case .string(let text): "string " + String(decoding: text, as: UTF8.self)
                case .number(let text): "number " + String(decoding: text, as: UTF8.self)
                case .boolean(let value): "\(value)"
                case .null: "null"
                }
            found.append(text)
        }
        var start = 0
        while start < text.count {
            let end = min(text.count, start + pieces)
            try text[start..<end].withUnsafeBytes { try stream.push($0, take) }
            start = end
        }
        try stream.finish(take)
        return found
    }

    private func events(
        _ text: String,
        pieces: Int = 1,
        maximumTextBytes: Int = 100
    ) throws -> [String] {
        try events(Array(text.utf8), pieces: pieces, maximumTextBytes: maximumTextBytes)
    }

    @Test(arguments: [1, 2, 3, 7, 1000])
    func `a text is the same in whatever pieces it comes`(pieces: Int) throws {
        let text =
            #" {"a" : [1, -2.5e+3, true, false, null, "x\n\u00e9\ud83d\ude00\/"], "b":{}, "":[]} "#
        #expect(
            try events(text, pieces: pieces) == [
                "{", "name a", "[", "number 1", "number -2.5e+3", "true", "false", "null",
                "string x\né😀/", "]", "name b", "{", "}", "name ", "[", "]", "}",
            ]
        )
    }

    @Test func `long texts are cut, and read to their end`() throws {
        let long = String(repeating: "x", count: 1000)
        #expect(
            try events(#"["\#(long)", 1]"#, maximumTextBytes: 4) == [
                "[", "string xxxx", "number 1", "]",
            ]
        )
    }

    @Test func `half of a surrogate pair stands for nothing`() throws {
        #expect(try events(#"["\ud83dx", "\ude00", "\ud83d"]"#).count == 5)
    }

    @Test(
        arguments: [
            "", " ", "{", "[1", "[1,]", "{\"a\"}", "{\"a\":1,}", "{a:1}", "[1 2]", "nul", "tru1",
            "01", "1.", "--1", "1e", "\"\\x\"", "\"\u{1}\"", "[\"a]", "1 1", "}", "]", "[}", "{]",
            "\"\\u12g4\"",
        ]
    )
    func `what is not JSON is refused`(text: String) {
        #expect(throws: JSONStream.Failure.self) { try events(text) }
    }

    @Test func `values are followed no deeper than the bound`() {
        let deep = String(repeating: "[", count: 65) + String(repeating: "]", count: 65)
        #expect(throws: JSONStream.Failure.self) { try events(deep) }
    }

    @Test func `it agrees with the cursor on texts that were changed at random`() throws {
        let seed = Array(
            #"{"took":3,"errors":true,"items":[{"index":{"status":400,"e":"\u00e9"}}]}"#.utf8
        )
        var generator = SeededGenerator(seed: 77)
        for _ in 0..<20_000 {
            var text = seed
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let place = Int.random(in: 0..<text.count, using: &generator)
                switch Int.random(in: 0...2, using: &generator) {
                case 0: text[place] = UInt8.random(in: 0x20..<0x7f, using: &generator)
                case 1: text.remove(at: place)
                default:
                    text.insert(text[Int.random(in: 0..<text.count, using: &generator)], at: place)
                }
            }
            var cursor = JSONCursor(maximumDepth: 64)
            var isJSON = true
            do {
                try cursor.skipValue(text.span)
                try cursor.expectEnd(text.span)
            } catch {
                isJSON = false
            }
            let pieces = Int.random(in: 1...9, using: &generator)
            let isRead = (try? events(text, pieces: pieces)) != nil
            // The stream takes halves of surrogate pairs, which the cursor refuses.
            if isJSON { #expect(isRead, "\(String(decoding: text, as: UTF8.self))") }
            if isRead, !isJSON {
                #expect(String(decoding: text, as: UTF8.self).contains("\\u"))
            }
        }
    }
}
