/// A strict JSON reader (RFC 8259) of bytes that come in pieces: it keeps nothing but where it is.
package struct JSONStream {
    /// What it finds, in order.
    package enum Event {
        case beginObject
        case endObject
        case beginArray
        case endArray
        /// A member's name, unescaped, cut at the bound.
        case name([UInt8])
        /// A string, unescaped, cut at the bound.
        case string([UInt8])
        /// A number as it is written, cut at the bound.
        case number([UInt8])
        case boolean(Bool)
        case null
    }

    /// Why the bytes are not JSON.
    package struct Failure: Error, CustomStringConvertible {
        /// What is wrong.
        package var reason: String
        /// At which byte since the beginning.
        package var offset: Int
        package var description: String { "\(reason) at byte \(offset)" }
    }

    private enum State {
        /// A value, or the end of an array that has none yet where `mayEnd`.
        case value(mayEnd: Bool)
        /// A member's name, or the end of an object that has none yet where `mayEnd`.
        case name(mayEnd: Bool)
        case colon
        /// A comma or the end of what is open.
        case next
        case string(isName: Bool)
        case escape(isName: Bool)
        /// So many digits of `\u` are to come.
        case unicode(isName: Bool, left: Int)
        case number
        /// The rest of `true`, `false` or `null`.
        case word(StaticString, at: Int)
        /// Behind the value.
        case end
    }

    private let maximumDepth: Int
    private let maximumTextBytes: Int
    private var state = State.value(mayEnd: false)
    /// What is open; true for objects.
    private var open: [Bool] = []
    private var text: [UInt8] = []
    private var unit: UInt32 = 0
    /// The first half of a pair of surrogates.
    private var highSurrogate: UInt32?
    private var offset = 0

    /// A reader that follows values in values as deep as `maximumDepth`, and gives texts of at most
    /// `maximumTextBytes`.
    package init(maximumDepth: Int = 64, maximumTextBytes: Int) {
        self.maximumDepth = maximumDepth
        self.maximumTextBytes = maximumTextBytes
    }

    /// Takes the next bytes, and gives what was found in them.
    ///
    /// - Throws: `Failure`, or what `found` throws.
    package mutating func push(
        _ bytes: UnsafeRawBufferPointer,
        _ found: (Event) throws -> Void
    ) throws {
        for byte in bytes {
            try take(byte, found)
            offset += 1
        }
    }

    /// Says that no more bytes come.
    ///
    /// - Throws: `Failure` where the value is not whole, or what `found` throws.
    package mutating func finish(_ found: (Event) throws -> Void) throws {
        if case .number = state, open.isEmpty { try endNumber(found) }
        guard case .end = state else { throw failure("the end of the text is missing") }
    }

    private func failure(_ reason: String) -> Failure { Failure(reason: reason, offset: offset) }

    // MARK: Bytes

    private mutating func take(_ byte: UInt8, _ found: (Event) throws -> Void) throws {
        switch state {
        case .string(let isName): return try takeInString(byte, isName, found)
        case .escape(let isName): return try takeEscape(byte, isName)
        case .unicode(let isName, let left): return try takeDigit(byte, isName, left)
        case .word(let word, let at): return try takeInWord(byte, word, at, found)
        case .number:
            if Self.isInNumber(byte) { return keep(byte) }
            try endNumber(found)
        default: break
        }
        if byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { return }
        switch state {
        case .value(let mayEnd): try beginValue(byte, mayEnd, found)
        case .name(let mayEnd):
            if byte == UInt8(ascii: "\"") {
                state = .string(isName: true)
            } else if byte == UInt8(ascii: "}"), mayEnd {
                try close(found)
            } else {
                throw failure("expected a member's name")
            }
        case .colon:
            guard byte == UInt8(ascii: ":") else { throw failure("expected ':'") }
            state = .value(mayEnd: false)
        case .next: try takeNext(byte, found)
        default: throw failure("something follows the value")
        }
    }

    private mutating func takeNext(_ byte: UInt8, _ found: (Event) throws -> Void) throws {
        let isObject = open.last == true
        switch byte {
        case UInt8(ascii: ","): state = isObject ? .name(mayEnd: false) : .value(mayEnd: false)
        case UInt8(ascii: "}") where isObject: try close(found)
        case UInt8(ascii: "]") where !isObject: try close(found)
        default: throw failure("expected ',' or an end")
        }
    }

    private mutating func beginValue(
        _ byte: UInt8,
        _ mayEnd: Bool,
        _ found: (Event) throws -> Void
    ) throws {
        switch byte {
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            guard open.count < maximumDepth else { throw failure("too deeply nested") }
            let isObject = byte == UInt8(ascii: "{")
            open.append(isObject)
            state = isObject ? .name(mayEnd: true) : .value(mayEnd: true)
            try found(isObject ? .beginObject : .beginArray)
        case UInt8(ascii: "]") where mayEnd: try close(found)
        case UInt8(ascii: "\""): state = .string(isName: false)
        case UInt8(ascii: "t"): state = .word("true", at: 1)
        case UInt8(ascii: "f"): state = .word("false", at: 1)
        case UInt8(ascii: "n"): state = .word("null", at: 1)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            keep(byte)
            state = .number
        default: throw failure("expected a value")
        }
    }

    private mutating func close(_ found: (Event) throws -> Void) throws {
        let isObject = open.removeLast()
        endValue()
        try found(isObject ? .endObject : .endArray)
    }

    private mutating func endValue() { state = open.isEmpty ? .end : .next }

    // MARK: Words and numbers

    private mutating func takeInWord(
        _ byte: UInt8,
        _ word: StaticString,
        _ at: Int,
        _ found: (Event) throws -> Void
    ) throws {
        guard byte == word.utf8Start[at] else { throw failure("expected \(word)") }
        guard at + 1 == word.utf8CodeUnitCount else { return state = .word(word, at: at + 1) }
        endValue()
        switch word.utf8Start[0] {
        case UInt8(ascii: "t"): try found(.boolean(true))
        case UInt8(ascii: "f"): try found(.boolean(false))
        default: try found(.null)
        }
    }

    private static func isInNumber(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"),
            UInt8(ascii: "+"), UInt8(ascii: "e"), UInt8(ascii: "E"):
            true
        default: false
        }
    }

    private mutating func endNumber(_ found: (Event) throws -> Void) throws {
        var cursor = JSONCursor(maximumDepth: 1)
        do throws(JSONCursor.Failure) {
            try cursor.number(text.span)
        } catch {
            throw failure("not a number")
        }
        guard cursor.at == text.count || text.count >= maximumTextBytes else {
            throw failure("not a number")
        }
        let number = takeText()
        endValue()
        try found(.number(number))
    }

    // MARK: Strings

    private mutating func keep(_ byte: UInt8) {
        if text.count < maximumTextBytes { text.append(byte) }
    }

    private mutating func takeText() -> [UInt8] {
        defer { text.removeAll(keepingCapacity: true) }
        return text
    }

    private mutating func takeInString(
        _ byte: UInt8,
        _ isName: Bool,
        _ found: (Event) throws -> Void
    ) throws {
        if byte != UInt8(ascii: "\\") { flushSurrogate() }
        switch byte {
        case UInt8(ascii: "\""):
            let text = takeText()
            if isName {
                state = .colon
                try found(.name(text))
            } else {
                endValue()
                try found(.string(text))
            }
        case UInt8(ascii: "\\"): state = .escape(isName: isName)
        case 0..<0x20: throw failure("a control character in a string")
        default: keep(byte)
        }
    }

    private mutating func takeEscape(_ byte: UInt8, _ isName: Bool) throws {
        if byte == UInt8(ascii: "u") {
            unit = 0
            return state = .unicode(isName: isName, left: 4)
        }
        flushSurrogate()
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): keep(byte)
        case UInt8(ascii: "b"): keep(0x08)
        case UInt8(ascii: "f"): keep(0x0c)
        case UInt8(ascii: "n"): keep(0x0a)
        case UInt8(ascii: "r"): keep(0x0d)
        case UInt8(ascii: "t"): keep(0x09)
        default: throw failure("an escape that there is not")
        }
        state = .string(isName: isName)
    }

    private mutating func takeDigit(_ byte: UInt8, _ isName: Bool, _ left: Int) throws {
        guard let digit = Character(UnicodeScalar(byte)).hexDigitValue, byte < 0x80 else {
            throw failure("an escape that there is not")
        }
        unit = unit << 4 | UInt32(digit)
        guard left == 1 else { return state = .unicode(isName: isName, left: left - 1) }
        state = .string(isName: isName)
        switch unit {
        case 0xd800..<0xdc00:
            flushSurrogate()
            highSurrogate = unit
        case 0xdc00..<0xe000:
            guard let high = highSurrogate else { return keep(scalar: 0xfffd) }
            highSurrogate = nil
            keep(scalar: 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00))
        default:
            flushSurrogate()
            keep(scalar: unit)
        }
    }

    /// A half without its other half stands for nothing.
    private mutating func flushSurrogate() {
        guard highSurrogate != nil else { return }
        highSurrogate = nil
        keep(scalar: 0xfffd)
    }

    private mutating func keep(scalar: UInt32) {
        for byte in String(UnicodeScalar(scalar) ?? "\u{fffd}").utf8 { keep(byte) }
    }
}
