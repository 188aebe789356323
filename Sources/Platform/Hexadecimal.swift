/// Lower-case hexadecimal digits, as signatures, hashes and identifiers are written.
@usableFromInline package enum Hexadecimal {
    @usableFromInline static let digits: StaticString = "0123456789abcdef"

    // MARK: Numbers

    /// The eight digits of a number in the bytes of a word, from its highest on.
    @inlinable package static func digits(_ number: UInt32) -> UInt64 {
        // Spreads the eight nibbles over the bytes of the word, and turns each into its digit.
        var nibbles = UInt64(number)
        nibbles = (nibbles << 16 | nibbles) & 0x0000_ffff_0000_ffff
        nibbles = (nibbles << 8 | nibbles) & 0x00ff_00ff_00ff_00ff
        nibbles = (nibbles << 4 | nibbles) & 0x0f0f_0f0f_0f0f_0f0f
        let letters = ((nibbles + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101
        return nibbles + 0x3030_3030_3030_3030 + letters * 39
    }

    /// Writes the sixteen digits of a number into the first bytes of `space`.
    package static func write(_ number: UInt64, to space: UnsafeMutableRawBufferPointer) {
        let high = digits(UInt32(truncatingIfNeeded: number >> 32))
        let low = digits(UInt32(truncatingIfNeeded: number))
        space.storeBytes(of: high.bigEndian, toByteOffset: 0, as: UInt64.self)
        space.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
    }

    /// The sixteen digits of a number.
    package static func text(_ number: UInt64) -> String {
        String(unsafeUninitializedCapacity: 16) { space in
            write(number, to: UnsafeMutableRawBufferPointer(space))
            return 16
        }
    }

    // MARK: Bytes

    /// Appends the digits of some bytes.
    @inlinable package static func append(_ bytes: some Sequence<UInt8>, to text: inout [UInt8]) {
        let digits = digits.utf8Start
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
    }

    /// The digits of some bytes.
    @inlinable package static func text(_ bytes: some Sequence<UInt8>) -> String {
        var text: [UInt8] = []
        text.reserveCapacity(64)
        append(bytes, to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes that digits stand for; nil where there is anything else, or half a byte.
    @inlinable package static func bytes(
        _ digits: some Collection<UInt8>,
        allowsCapitals: Bool = false
    ) -> [UInt8]? {
        guard digits.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits.count / 2)
        var high: UInt8?
        for digit in digits {
            let value: UInt8
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = digit - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = digit - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F") where allowsCapitals:
                value = digit - UInt8(ascii: "A") + 10
            default: return nil
            }
            if let first = high {
                bytes.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return bytes
    }
}
