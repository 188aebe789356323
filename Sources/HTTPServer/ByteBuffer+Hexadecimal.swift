package import NIOCore
internal import Platform

extension ByteBuffer {
    /// Writes sixteen hexadecimal digits.
    package mutating func writeHexadecimal(_ number: UInt64) {
        writeInteger(Hexadecimal.digits(UInt32(truncatingIfNeeded: number >> 32)))
        writeInteger(Hexadecimal.digits(UInt32(truncatingIfNeeded: number)))
    }
}
