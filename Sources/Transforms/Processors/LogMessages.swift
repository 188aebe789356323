internal import JSON
internal import Records

/// The messages of a CloudWatch Logs document, as a subscription sends it (CloudWatch Logs user guide,
/// "Real-time processing of log data with subscriptions").
enum LogMessages {
    /// What a document says of itself.
    private struct Document {
        var type: [UInt8]?
        var hasEvents = false
    }

    /// Appends each message and a line feed; nothing for a control message, which is sent to try the
    /// way.
    ///
    /// - Returns: Whether it is such a document; where it is not, something may have been appended.
    /// - Throws: `JSONCursor.Failure` where it is not JSON.
    static func append(
        of json: Span<UInt8>,
        to text: inout [UInt8]
    ) throws(JSONCursor.Failure) -> Bool {
        var cursor = JSONCursor(maximumDepth: Limits.maximumJSONDepth)
        let start = text.count
        var document = Document()
        var isWhole = true
        guard cursor.peek(json) == UInt8(ascii: "{") else { return false }
        try cursor.members(json) { (cursor, name) throws(JSONCursor.Failure) in
            switch name {
            case "messageType" where cursor.peek(json) == UInt8(ascii: "\""):
                document.type = cursor.unescaped(try cursor.string(json), json)
            case "logEvents" where cursor.peek(json) == UInt8(ascii: "["):
                document.hasEvents = true
                isWhole = try appendEvents(&cursor, json, to: &text) && isWhole
            default:
                try cursor.skipValue(json, depth: 1)
            }
        }
        try cursor.expectEnd(json)
        guard isWhole, document.hasEvents else { return false }
        if document.type == Array("CONTROL_MESSAGE".utf8) {
            text.removeLast(text.count - start)
            return true
        }
        return document.type == Array("DATA_MESSAGE".utf8)
    }

    private static func appendEvents(
        _ cursor: inout JSONCursor,
        _ json: Span<UInt8>,
        to text: inout [UInt8]
    ) throws(JSONCursor.Failure) -> Bool {
        var isWhole = true
        try cursor.expect(UInt8(ascii: "["), json)
        if cursor.take(UInt8(ascii: "]"), json) { return true }
        repeat {
            guard cursor.peek(json) == UInt8(ascii: "{") else {
                try cursor.skipValue(json, depth: 2)
                isWhole = false
                continue
            }
            var message: JSONCursor.RawString?
            try cursor.members(json) { (cursor, name) throws(JSONCursor.Failure) in
                if name == "message", cursor.peek(json) == UInt8(ascii: "\"") {
                    message = try cursor.string(json)
                } else {
                    try cursor.skipValue(json, depth: 3)
                }
            }
            guard let message else {
                isWhole = false
                continue
            }
            text += cursor.unescaped(message, json)
            text.append(UInt8(ascii: "\n"))
        } while cursor.take(UInt8(ascii: ","), json)
        try cursor.expect(UInt8(ascii: "]"), json)
        return isWhole
    }
}

extension JSONCursor {
    /// Takes an object, and gives each member's name to `value`, which takes its value; a name that is
    /// too long to be one of ours is given empty.
    fileprivate mutating func members(
        _ json: Span<UInt8>,
        _ value: (inout JSONCursor, String) throws(Failure) -> Void
    ) throws(Failure) {
        try expect(UInt8(ascii: "{"), json)
        if take(UInt8(ascii: "}"), json) { return }
        repeat {
            let name = try string(json)
            try expect(UInt8(ascii: ":"), json)
            try value(&self, name.range.count <= 100 ? text(name, json) : "")
        } while take(UInt8(ascii: ","), json)
        try expect(UInt8(ascii: "}"), json)
    }
}
