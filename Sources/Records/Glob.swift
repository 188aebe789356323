/// A pattern in which `*` stands for any characters and `?` for one, as in IAM policies.
package struct Glob: Sendable, Hashable {
    /// The pattern.
    package let pattern: String
    private let bytes: [UInt8]

    /// Any text is a pattern.
    package init(_ pattern: String) {
        self.pattern = pattern
        bytes = Array(pattern.utf8)
    }

    /// Whether the pattern matches all of a text.
    package func matches(_ text: some StringProtocol) -> Bool {
        if pattern == "*" { return true }
        let text = Array(text.utf8)
        var place = 0
        var next = 0
        // Where the last star stands, and how far the text went into it.
        var star: (pattern: Int, text: Int)?
        while next < text.count {
            if place < bytes.count, bytes[place] == UInt8(ascii: "*") {
                star = (place, next)
                place += 1
            } else if place < bytes.count,
                bytes[place] == UInt8(ascii: "?") || bytes[place] == text[next]
            {
                place += 1
                next += 1
            } else if let last = star {
                star = (last.pattern, last.text + 1)
                place = last.pattern + 1
                next = last.text + 1
            } else {
                return false
            }
        }
        return bytes[place...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}
