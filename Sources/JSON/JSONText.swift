/// Texts in JSON, as all write them but the API's error messages, whose bytes are AWS's form (`\u000a`).
///
/// Quotes, backslashes and control characters are escaped, in the short form where JSON has one;
/// everything else, slashes and U+2028 among it, is written as it is (RFC 8259, section 7).
package enum JSONText {
    private static let digits: StaticString = "0123456789abcdef"

    /// Puts a text with its quotes behind `json`.
    package static func append(_ text: String, to json: inout [UInt8]) {
        json.append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { bytes in
            var start = 0
            for place in bytes.indices {
                let byte = bytes[place]
                guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else {
                    continue
                }
                json.append(contentsOf: bytes[start..<place])
                appendEscape(byte, to: &json)
                start = place + 1
            }
            json.append(contentsOf: bytes[start...])
        }
        json.append(UInt8(ascii: "\""))
    }

    /// A text with its quotes.
    package static func quoted(_ text: String) -> String {
        var json: [UInt8] = []
        json.reserveCapacity(text.utf8.count + 16)
        append(text, to: &json)
        return String(decoding: json, as: UTF8.self)
    }

    private static func appendEscape(_ byte: UInt8, to json: inout [UInt8]) {
        json.append(UInt8(ascii: "\\"))
        switch byte {
        case 0x08: json.append(UInt8(ascii: "b"))
        case 0x09: json.append(UInt8(ascii: "t"))
        case 0x0a: json.append(UInt8(ascii: "n"))
        case 0x0c: json.append(UInt8(ascii: "f"))
        case 0x0d: json.append(UInt8(ascii: "r"))
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): json.append(byte)
        default:
            json.append(contentsOf: [UInt8(ascii: "u"), UInt8(ascii: "0"), UInt8(ascii: "0")])
            json.append(digits.utf8Start[Int(byte >> 4)])
            json.append(digits.utf8Start[Int(byte & 15)])
        }
    }
}
