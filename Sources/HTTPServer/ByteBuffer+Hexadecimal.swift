package import NIOCore

extension ByteBuffer {
    /// Writes sixteen hexadecimal digits.
    package mutating func writeHexadecimal(_ number: UInt64) {
        // Spreads the 16 nibbles over the bytes of two words, and turns each into its digit.
        writeInteger(Self.digits(UInt32(truncatingIfNeeded: number >> 32)))
        writeInteger(Self.digits(UInt32(truncatingIfNeeded: number)))
    }

    private static func digits(_ number: UInt32) -> UInt64 {
        var nibbles = UInt64(number)
        nibbles = (nibbles << 16 | nibbles) & 0x0000_ffff_0000_ffff
        nibbles = (nibbles << 8 | nibbles) & 0x00ff_00ff_00ff_00ff
        nibbles = (nibbles << 4 | nibbles) & 0x0f0f_0f0f_0f0f_0f0f
        let letters = ((nibbles + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101
        return nibbles + 0x3030_3030_3030_3030 + letters * 39
    }
}
