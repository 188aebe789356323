/// A strict JSON reader (RFC 8259) over bytes that it does not own: it keeps a position, and each call
/// is given the bytes.
@usableFromInline package struct JSONCursor {
    /// Why the bytes are not JSON, or not the JSON that was expected.
    @usableFromInline package struct Failure: Error, CustomStringConvertible {
        /// What is wrong.
        package var reason: String
        /// At which byte.
        package var offset: Int
        @usableFromInline package var description: String { "\(reason) at byte \(offset)" }
    }

    /// The next byte to read.
    @usableFromInline package var at = 0
    let maximumDepth: Int

    /// A cursor at the first byte, which follows values in values as deep as `maximumDepth`.
    package init(maximumDepth: Int) { self.maximumDepth = maximumDepth }

    /// A failure at the next byte.
    @usableFromInline package func failure(_ reason: String) -> Failure {
        Failure(reason: reason, offset: at)
    }

    /// The next byte that is not white space; nil at the end.
    @inlinable package mutating func peek(_ json: Span<UInt8>) -> UInt8? {
        while at < json.count {
            let byte = json[at]
            guard byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 else { return byte }
            at += 1
        }
        return nil
    }

    /// Takes `byte`, after white space, if it is next.
    @inlinable package mutating func take(_ byte: UInt8, _ json: Span<UInt8>) -> Bool {
        guard peek(json) == byte else { return false }
        at += 1
        return true
    }

    /// Takes `byte`, after white space.
    @inlinable package mutating func expect(_ byte: UInt8, _ json: Span<UInt8>) throws(Failure) {
        guard take(byte, json) else {
            throw failure("expected '\(Character(UnicodeScalar(byte)))'")
        }
    }

    /// Takes white space up to the end.
    package mutating func expectEnd(_ json: Span<UInt8>) throws(Failure) {
        guard peek(json) == nil else { throw failure("something follows the value") }
    }

    /// Takes the value `null`, after white space, if it is next.
    package mutating func takeNull(_ json: Span<UInt8>) throws(Failure) -> Bool {
        guard peek(json) == UInt8(ascii: "n") else { return false }
        try literal("null", json)
        return true
    }

    // MARK: Strings

    /// What lies between a string's quotes.
    package struct RawString {
        /// Where.
        package var range: Range<Int>
        /// Whether anything in it is escaped.
        package var hasEscapes: Bool
    }

    /// Takes a string, after white space, and checks it: control characters, escapes, UTF-8.
    package mutating func string(_ json: Span<UInt8>) throws(Failure) -> RawString {
        guard take(0x22, json) else { throw failure("expected a string") }
        return try stringBody(json, from: at)
    }

    /// Takes the rest of a string whose content began at `start`; what lies before the cursor has
    /// been found to be plain ASCII.
    package mutating func stringBody(
        _ json: Span<UInt8>,
        from start: Int
    ) throws(Failure) -> RawString {
        var hasEscapes = false
        var isASCII = true
        while at < json.count {
            let byte = json[at]
            switch byte {
            case 0x22:
                let range = start..<at
                if !isASCII { try checkUTF8(range, json) }
                at += 1
                return RawString(range: range, hasEscapes: hasEscapes)
            case 0x5c:
                hasEscapes = true
                at += 1
                try escape(json)
            case 0..<0x20:
                throw failure("a control character in a string")
            default:
                if byte >= 0x80 { isASCII = false }
                at += 1
            }
        }
        throw failure("a string without an end")
    }

    /// The text between a string's quotes.
    package func text(_ raw: RawString, _ json: Span<UInt8>) -> String {
        let bytes = raw.hasEscapes ? unescaped(raw, json) : Array(json, raw.range)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The bytes that a string's content stands for.
    package func unescaped(_ raw: RawString, _ json: Span<UInt8>) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(raw.range.count)
        var place = raw.range.lowerBound
        while place < raw.range.upperBound {
            guard json[place] == 0x5c else {
                bytes.append(json[place])
                place += 1
                continue
            }
            let kind = json[place + 1]
            place += 2
            switch kind {
            case UInt8(ascii: "b"): bytes.append(0x08)
            case UInt8(ascii: "f"): bytes.append(0x0c)
            case UInt8(ascii: "n"): bytes.append(0x0a)
            case UInt8(ascii: "r"): bytes.append(0x0d)
            case UInt8(ascii: "t"): bytes.append(0x09)
            case UInt8(ascii: "u"):
                var unit = hex4(place, json) ?? 0
                place += 4
                if (0xd800..<0xdc00).contains(unit), let low = hex4(place + 2, json) {
                    unit = 0x10000 + (unit - 0xd800) << 10 + (low - 0xdc00)
                    place += 6
                }
                if let scalar = UnicodeScalar(unit) { bytes += Array(String(scalar).utf8) }
            default: bytes.append(kind)
            }
        }
        return bytes
    }

    /// Behind a backslash.
    private mutating func escape(_ json: Span<UInt8>) throws(Failure) {
        guard at < json.count else { throw failure("a string without an end") }
        switch json[at] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"),
            UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            at += 1
        case UInt8(ascii: "u"):
            guard let unit = hex4(at + 1, json) else { throw failure("a bad \\u escape") }
            at += 5
            if (0xdc00..<0xe000).contains(unit) { throw failure("half a surrogate pair") }
            guard (0xd800..<0xdc00).contains(unit) else { return }
            guard at + 1 < json.count, json[at] == 0x5c, json[at + 1] == UInt8(ascii: "u"),
                let low = hex4(at + 2, json), (0xdc00..<0xe000).contains(low)
            else { throw failure("half a surrogate pair") }
            at += 6
        default:
            throw failure("an unknown escape")
        }
    }

    private func hex4(_ place: Int, _ json: Span<UInt8>) -> UInt32? {
        guard place + 4 <= json.count else { return nil }
        var value: UInt32 = 0
        for index in place..<place + 4 {
            guard let digit = Character(UnicodeScalar(json[index])).hexDigitValue else {
                return nil
            }
            value = value << 4 | UInt32(digit)
        }
        return value
    }

    private func checkUTF8(_ range: Range<Int>, _ json: Span<UInt8>) throws(Failure) {
        guard String(validating: Array(json, range), as: UTF8.self) != nil else {
            throw failure("a string that is not UTF-8")
        }
    }

    // MARK: Values that nobody reads

    /// Takes one value of any kind, after white space, and checks it.
    package mutating func skipValue(_ json: Span<UInt8>, depth: Int = 0) throws(Failure) {
        guard depth < maximumDepth else { throw failure("too deeply nested") }
        guard let first = peek(json) else { throw failure("expected a value") }
        switch first {
        case 0x22:
            _ = try string(json)
        case UInt8(ascii: "{"):
            at += 1
            if take(UInt8(ascii: "}"), json) { return }
            repeat {
                _ = try string(json)
                try expect(UInt8(ascii: ":"), json)
                try skipValue(json, depth: depth + 1)
            } while take(UInt8(ascii: ","), json)
            try expect(UInt8(ascii: "}"), json)
        case UInt8(ascii: "["):
            at += 1
            if take(UInt8(ascii: "]"), json) { return }
            repeat { try skipValue(json, depth: depth + 1) } while take(UInt8(ascii: ","), json)
            try expect(UInt8(ascii: "]"), json)
        case UInt8(ascii: "t"): try literal("true", json)
        case UInt8(ascii: "f"): try literal("false", json)
        case UInt8(ascii: "n"): try literal("null", json)
        default: try number(json)
        }
    }

    mutating func literal(_ word: StaticString, _ json: Span<UInt8>) throws(Failure) {
        for index in 0..<word.utf8CodeUnitCount {
            guard at < json.count, json[at] == word.utf8Start[index] else {
                throw failure("expected \(word)")
            }
            at += 1
        }
    }

    mutating func number(_ json: Span<UInt8>) throws(Failure) {
        if at < json.count, json[at] == UInt8(ascii: "-") { at += 1 }
        if at < json.count, json[at] == UInt8(ascii: "0") {
            at += 1
        } else {
            try digits(json)
        }
        if at < json.count, json[at] == UInt8(ascii: ".") {
            at += 1
            try digits(json)
        }
        guard at < json.count, json[at] | 0x20 == UInt8(ascii: "e") else { return }
        at += 1
        if at < json.count, json[at] == UInt8(ascii: "+") || json[at] == UInt8(ascii: "-") {
            at += 1
        }
        try digits(json)
    }

    private mutating func digits(_ json: Span<UInt8>) throws(Failure) {
        let start = at
        while at < json.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(json[at]) {
            at += 1
        }
        guard at > start else { throw failure("expected a value") }
    }
}

extension [UInt8] {
    /// A copy of a part of a span.
    package init(_ span: Span<UInt8>, _ range: Range<Int>) {
        self = span.extracting(range).withUnsafeBufferPointer { Array($0) }
    }
}
