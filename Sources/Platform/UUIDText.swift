/// UUIDs as text (RFC 9562, section 4), in small letters.
package enum UUIDText {
    /// Length of the text.
    package static let byteCount = 36

    /// A random one (version 4).
    package static func random() -> String {
        var generator = SystemRandomNumberGenerator()
        return text(
            high: generator.next() & ~0xf000 | 0x4000,
            low: generator.next() & ~0xc000_0000_0000_0000 | 0x8000_0000_0000_0000
        )
    }

    /// The one with these bits.
    package static func text(high: UInt64, low: UInt64) -> String {
        String(unsafeUninitializedCapacity: byteCount) { space in
            var place = 0
            func put(_ word: UInt64, _ count: Int) {
                for shift in stride(from: 56, through: 64 - 8 * count, by: -8) {
                    space[place] = UInt8(truncatingIfNeeded: word >> UInt64(shift))
                    place += 1
                }
            }
            func dash() {
                space[place] = UInt8(ascii: "-")
                place += 1
            }
            let words = [high >> 32, high, low >> 32, low].map {
                Hexadecimal.digits(UInt32(truncatingIfNeeded: $0))
            }
            put(words[0], 8)
            dash()
            put(words[1], 4)
            dash()
            put(words[1] << 32, 4)
            dash()
            put(words[2], 4)
            dash()
            put(words[2] << 32, 4)
            put(words[3], 8)
            return place
        }
    }
}
