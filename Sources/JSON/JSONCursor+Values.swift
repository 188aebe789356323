extension JSONCursor {
    /// The model's longest are keys of maps, of 1,024 characters.
    private static let maximumNameBytes = 4096

    /// Values in values that a whole document may have: far more than any of AWS's.
    package static let maximumDocumentDepth = 32

    /// Reads a whole document.
    package static func value(
        of json: [UInt8],
        maximumDepth: Int = JSONCursor.maximumDocumentDepth
    ) throws(Failure) -> JSONValue {
        var cursor = JSONCursor(maximumDepth: maximumDepth)
        let span = json.span
        let value = try cursor.value(span, depth: 0)
        try cursor.expectEnd(span)
        return value
    }

    /// Takes one value, after white space; members that stand twice are refused.
    private mutating func value(
        _ json: Span<UInt8>,
        depth: Int
    ) throws(Failure) -> JSONValue {
        guard depth < maximumDepth else { throw failure("too deeply nested") }
        guard let first = peek(json) else { throw failure("expected a value") }
        switch first {
        case 0x22: return .string(text(try string(json), json))
        case UInt8(ascii: "{"): return .object(try members(json, depth: depth))
        case UInt8(ascii: "["): return .array(try items(json, depth: depth))
        case UInt8(ascii: "t"):
            try literal("true", json)
            return .boolean(true)
        case UInt8(ascii: "f"):
            try literal("false", json)
            return .boolean(false)
        case UInt8(ascii: "n"):
            try literal("null", json)
            return .null
        default:
            let start = at
            try number(json)
            return try number(String(decoding: Array(json, start..<at), as: UTF8.self))
        }
    }

    private mutating func members(
        _ json: Span<UInt8>,
        depth: Int
    ) throws(Failure) -> [String: JSONValue] {
        at += 1
        var members: [String: JSONValue] = [:]
        if take(UInt8(ascii: "}"), json) { return members }
        repeat {
            let raw = try string(json)
            // Hashing a text takes the square of its length, if it is made for that.
            guard raw.range.count <= Self.maximumNameBytes else {
                throw failure("a member's name is too long")
            }
            let name = text(raw, json)
            try expect(UInt8(ascii: ":"), json)
            let value = try value(json, depth: depth + 1)
            guard members.updateValue(value, forKey: name) == nil else {
                throw failure("the member \(name.prefix(64)) stands twice")
            }
        } while take(UInt8(ascii: ","), json)
        try expect(UInt8(ascii: "}"), json)
        return members
    }

    private mutating func items(
        _ json: Span<UInt8>,
        depth: Int
    ) throws(Failure) -> [JSONValue] {
        at += 1
        var items: [JSONValue] = []
        if take(UInt8(ascii: "]"), json) { return items }
        repeat {
            items.append(try value(json, depth: depth + 1))
        } while take(
            UInt8(ascii: ","),
            json
        )
        try expect(UInt8(ascii: "]"), json)
        return items
    }

    /// A number in its simplest form: 1.0 and 1e0 are whole.
    private func number(_ text: String) throws(Failure) -> JSONValue {
        if let whole = Int(text) { return .integer(whole) }
        guard let number = Double(text), number.isFinite else {
            throw failure("a number that is too large")
        }
        // Beyond this, not every whole number is a Double.
        let isWhole = number == number.rounded() && abs(number) < 9_007_199_254_740_992
        return isWhole ? .integer(Int(number)) : .number(number)
    }
}
