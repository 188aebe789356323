internal import Destinations
package import Records

/// A record that its destination does not take: all that its line of JSON says beyond what the log holds.
package struct FailedRecord: Sendable, Hashable {
    /// Its number in its log.
    package var number: RecordNumber
    /// Why.
    package var failure: DeliveryFailure
    /// How many requests carried it.
    package var attempts: Int
    /// When the last one ended.
    package var endedAt: Timestamp
    /// Whether it is kept on this server's disk, not in the bucket.
    package var isSetAside = false
}

/// What came of a buffer's records.
package struct FailureSummary: Sendable, Codable, Hashable {
    /// All of them.
    package var records = 0
    /// Those that failed.
    package var failed = 0
    /// Bytes of all.
    package var bytes = 0
    /// How many requests there were.
    package var requests = 0
    /// The most attempts of one request.
    package var attempts = 0
    /// Whether some of them were given up, and the destination did not refuse them.
    package var hasGivenUp = false
}

extension FailedRecord {
    /// Number, attempts, when the last attempt ended, whether it is set aside, and how long the texts are.
    static let headBytes = 8 + 4 + 8 + 1 + 2 + 4

    /// Writes it: numbers little endian, then code and message.
    func write(to bytes: inout [UInt8]) {
        func put<Number: FixedWidthInteger>(_ number: Number) {
            withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
        }
        let code = Array(failure.code.utf8.prefix(Int(UInt16.max)))
        let message = Array(failure.message.utf8)
        put(number.value)
        put(UInt32(clamping: attempts))
        put(endedAt.milliseconds)
        put(UInt8(isSetAside ? 1 : 0))
        put(UInt16(code.count))
        put(UInt32(message.count))
        bytes += code
        bytes += message
    }

    /// Bytes of its texts.
    static func textBytes(_ head: ArraySlice<UInt8>) -> (code: Int, message: Int) {
        head.withUnsafeBytes { head in
            let code = UInt16(littleEndian: head.loadUnaligned(fromByteOffset: 21, as: UInt16.self))
            let message = head.loadUnaligned(fromByteOffset: 23, as: UInt32.self)
            return (Int(code), Int(UInt32(littleEndian: message)))
        }
    }

    /// Reads what `write` wrote.
    init(_ bytes: ArraySlice<UInt8>) {
        let (code, message) = Self.textBytes(bytes)
        self = bytes.withUnsafeBytes { bytes in
            func load<Number: FixedWidthInteger>(_ offset: Int, _: Number.Type) -> Number {
                Number(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Number.self))
            }
            let texts = bytes[Self.headBytes...]
            var failure = DeliveryFailure(code: "", message: "")
            failure.code = String(decoding: texts.prefix(code), as: UTF8.self)
            failure.message = String(decoding: texts.dropFirst(code).prefix(message), as: UTF8.self)
            return FailedRecord(
                number: RecordNumber(load(0, UInt64.self)),
                failure: failure,
                attempts: Int(load(8, UInt32.self)),
                endedAt: Timestamp(milliseconds: load(12, Int64.self)),
                isSetAside: load(20, UInt8.self) == 1
            )
        }
    }
}
