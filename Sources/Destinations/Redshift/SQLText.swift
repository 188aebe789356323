internal import Records

/// Parts of SQL statements, written so that nothing in a configuration can break out of them.
enum SQLText {
    /// Why a text cannot stand in a statement.
    struct Failure: Error {
        var reason: String
    }

    /// A string literal.
    ///
    /// With a backslash in it, it is written so that databases read the same whether or not they take
    /// backslashes in plain literals for escapes.
    static func literal(_ text: String) -> String {
        let hasBackslash = text.unicodeScalars.contains("\\")
        let quoted = doubled(text, hasBackslash ? ["'", "\\"] : ["'"])
        return hasBackslash ? "E'\(quoted)'" : "'\(quoted)'"
    }

    /// A quoted identifier.
    static func identifier(_ name: String) -> String { "\"\(doubled(name, ["\""]))\"" }

    /// Doubles code points: a database knows nothing of characters, and a quote with a combining mark is
    /// one, and ends a literal.
    private static func doubled(_ text: String, _ special: [UnicodeScalar]) -> String {
        var scalars = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if special.contains(scalar) { scalars.append(scalar) }
            scalars.append(scalar)
        }
        return String(scalars)
    }

    /// A name with its schema, quoted.
    static func identifier(_ parts: [String]) -> String {
        parts.map(identifier).joined(separator: ".")
    }

    /// Refuses what no part of a statement may hold.
    static func check(_ text: String) throws(Failure) {
        guard text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f }) else {
            throw Failure(reason: "has a control character")
        }
    }

    /// Reads names that are separated by commas, each of parts that are separated by dots.
    ///
    /// A part may be quoted, as in SQL; the ASCII letters of one that is not are taken as small ones, as
    /// databases do.
    static func names(_ text: String, maximumParts: Int) throws(Failure) -> [[String]] {
        try check(text)
        var names: [[String]] = []
        var parts: [String] = []
        var rest = text.unicodeScalars[...]
        while true {
            rest = rest.drop { $0 == " " }
            var part = ""
            if rest.first == "\"" {
                part = try quotedName(&rest)
            } else {
                let end = rest.firstIndex { $0 == "." || $0 == "," } ?? rest.endIndex
                var scalars = rest[..<end]
                while scalars.last == " " { scalars.removeLast() }
                guard !scalars.contains("\"") else {
                    throw Failure(reason: "has a quote within a name")
                }
                part.unicodeScalars.append(contentsOf: scalars.map(folded))
                rest = rest[end...]
            }
            guard !part.isEmpty else { throw Failure(reason: "has an empty name") }
            parts.append(part)
            guard parts.count <= maximumParts else {
                throw Failure(reason: "has a name of more than \(maximumParts) parts")
            }
            if rest.first != "." {
                names.append(parts)
                parts = []
            }
            guard !rest.isEmpty else { return names }
            rest.removeFirst()
        }
    }

    private static func folded(_ scalar: UnicodeScalar) -> UnicodeScalar {
        ("A"..."Z").contains(scalar) ? UnicodeScalar(UInt8(scalar.value + 32)) : scalar
    }

    /// Takes a quoted name and the blanks behind it.
    private static func quotedName(
        _ rest: inout Substring.UnicodeScalarView
    ) throws(Failure) -> String {
        var name = ""
        rest.removeFirst()
        while true {
            guard let end = rest.firstIndex(of: "\"") else {
                throw Failure(reason: "has a quote that is not closed")
            }
            name.unicodeScalars.append(contentsOf: rest[..<end])
            rest = rest[rest.index(after: end)...]
            guard rest.first == "\"" else { break }
            name.unicodeScalars.append("\"")
            rest.removeFirst()
        }
        rest = rest.drop { $0 == " " }
        guard rest.isEmpty || rest.first == "." || rest.first == "," else {
            throw Failure(reason: "has something behind a quoted name")
        }
        return name
    }

    /// Refuses options of COPY that are more than words, numbers, and literals that end where they seem
    /// to, whether or not a backslash is an escape.
    static func checkOptions(_ text: String) throws(Failure) {
        try check(text)
        var rest = text.utf8[...]
        var depth = 0
        while let first = rest.first {
            rest.removeFirst()
            switch first {
            case UInt8(ascii: "'"):
                let plain = end(of: rest, escapes: false)
                guard let plain, plain == end(of: rest, escapes: true) else {
                    throw Failure(reason: "has a literal whose end is not clear")
                }
                rest = rest[plain...]
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: " "),
                UInt8(ascii: ","), UInt8(ascii: "="), UInt8(ascii: "."):
                break
            case UInt8(ascii: "("): depth += 1
            case UInt8(ascii: ")"):
                depth -= 1
                if depth < 0 { throw Failure(reason: "closes what is not open") }
            default:
                let character = Character(UnicodeScalar(first))
                throw Failure(reason: "has \"\(character)\" outside a literal")
            }
        }
        if depth > 0 { throw Failure(reason: "has a parenthesis that is not closed") }
    }

    /// Where a literal ends, behind its quote.
    private static func end(
        of text: Substring.UTF8View,
        escapes: Bool
    ) -> Substring.UTF8View.Index? {
        var place = text.startIndex
        while place < text.endIndex {
            let next = text.index(after: place)
            switch text[place] {
            case UInt8(ascii: "\\") where escapes:
                guard next < text.endIndex else { return nil }
                place = text.index(after: next)
            case UInt8(ascii: "'"):
                guard next < text.endIndex, text[next] == UInt8(ascii: "'") else { return next }
                place = text.index(after: next)
            default: place = next
            }
        }
        return nil
    }
}
