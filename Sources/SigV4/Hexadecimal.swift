/// Lower-case hexadecimal digits, as signatures and hashes are written.
package enum Hexadecimal {
    private static let digits: StaticString = "0123456789abcdef"

    /// Appends the digits of some bytes.
    static func append(_ bytes: some Sequence<UInt8>, to text: inout [UInt8]) {
        let digits = digits.utf8Start
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
    }

    /// The digits of some bytes.
    package static func text(_ bytes: some Sequence<UInt8>) -> String {
        var text: [UInt8] = []
        text.reserveCapacity(64)
        append(bytes, to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes of a signature or a SHA-256: 64 digits; nil for anything else.
    static func bytes(of64 digits: ArraySlice<UInt8>) -> [UInt8]? {
        guard digits.count == 64 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(32)
        var high: UInt8 = 0
        for (index, digit) in digits.enumerated() {
            let value: UInt8
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = digit - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = digit - UInt8(ascii: "a") + 10
            default: return nil
            }
            if index % 2 == 0 { high = value << 4 } else { bytes.append(high | value) }
        }
        return bytes
    }
}

extension ArraySlice<UInt8> {
    /// What stands between separators, empty parts as well.
    func fields(separatedBy separator: UInt8) -> [ArraySlice<UInt8>] {
        var fields: [ArraySlice<UInt8>] = []
        fields.reserveCapacity(8)
        var start = startIndex
        while let end = self[start...].firstIndex(of: separator) {
            fields.append(self[start..<end])
            start = end + 1
        }
        fields.append(self[start...])
        return fields
    }
}
