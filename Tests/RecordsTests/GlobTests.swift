import Records
import TestSupport
import Testing

@Suite struct GlobTests {
    /// The definition, without any cleverness.
    private func matches(_ pattern: Substring, _ text: Substring) -> Bool {
        guard let first = pattern.first else { return text.isEmpty }
        let rest = pattern.dropFirst()
        if first == "*" {
            return matches(rest, text) || (!text.isEmpty && matches(pattern, text.dropFirst()))
        }
        return !text.isEmpty && (first == "?" || first == text.first)
            && matches(rest, text.dropFirst())
    }

    @Test func `a pattern matches what its definition says`() {
        var generator = SeededGenerator(seed: 4)
        func text(_ letters: String, _ most: Int) -> String {
            let count = Int.random(in: 0...most, using: &generator)
            return String((0..<count).compactMap { _ in letters.randomElement(using: &generator) })
        }
        var matched = 0
        for _ in 0..<50_000 {
            let pattern = text("ab*?", 8)
            let text = text("ab", 10)
            let expected = matches(pattern[...], text[...])
            #expect(Glob(pattern).matches(text) == expected, "\(pattern) on \(text)")
            if expected { matched += 1 }
        }
        #expect(matched > 5000)
    }

    @Test func `many stars take no more time than few`() {
        let pattern = String(repeating: "*a", count: 200) + "b"
        #expect(!Glob(pattern).matches(String(repeating: "a", count: 5000)))
    }
}
