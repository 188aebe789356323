/// UUIDs as text (RFC 9562, section 4).
enum UUIDText {
    /// 32 hexadecimal digits in groups.
    static func grouped(_ digits: String) -> String {
        var parts: [Substring] = []
        var rest = Substring(digits)
        for length in [8, 4, 4, 4, 12] {
            parts.append(rest.prefix(length))
            rest = rest.dropFirst(length)
        }
        return parts.joined(separator: "-")
    }
}
