/// Percent-encoding as SigV4 wants it (IAM user guide, "Create a signed AWS API request": UriEncode).
package enum URIEncoding {
    private static let digits = Array("0123456789ABCDEF".utf8)

    /// Encodes all bytes of the UTF-8 form except unreserved ones (RFC 3986, section 2.3) and, where
    /// `keepSlashes` is set, `/`.
    package static func encode(_ text: String, keepSlashes: Bool = false) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count + 16)
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
                UInt8(ascii: "."), UInt8(ascii: "~"):
                bytes.append(byte)
            case UInt8(ascii: "/") where keepSlashes:
                bytes.append(byte)
            default:
                bytes.append(UInt8(ascii: "%"))
                bytes.append(digits[Int(byte >> 4)])
                bytes.append(digits[Int(byte & 15)])
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Decodes percent escapes, and plus signs as blanks; what is no escape stays as it is.
    package static func decode(_ text: Substring) -> String {
        guard text.utf8.contains(where: { $0 == UInt8(ascii: "%") || $0 == UInt8(ascii: "+") })
        else { return String(text) }
        let source = Array(text.utf8)
        var bytes: [UInt8] = []
        var place = 0
        while place < source.count {
            let byte = source[place]
            place += 1
            if byte == UInt8(ascii: "%"), place + 1 < source.count,
                let value = UInt8(
                    String(decoding: source[place...place + 1], as: UTF8.self),
                    radix: 16
                )
            {
                bytes.append(value)
                place += 2
            } else {
                bytes.append(byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
