internal import Crypto

/// A record of the Kinesis Producer Library that holds several.
///
/// Source: awslabs/amazon-kinesis-producer, `aggregation-format.md`: four bytes, a protobuf
/// `AggregatedRecord`, and the MD5 of the protobuf.
struct KPLAggregate {
    private static let magic: [UInt8] = [0xf3, 0x89, 0x9a, 0xc2]
    private static let digestBytes = 16

    /// Where each record's data lies in the aggregate.
    let records: [Range<Int>]

    /// Nil where the bytes are no aggregate: then they are a record like any other.
    init?(_ bytes: UnsafeRawBufferPointer) {
        let end = bytes.count - Self.digestBytes
        guard end >= Self.magic.count, bytes.prefix(Self.magic.count).elementsEqual(Self.magic)
        else { return nil }
        var digest = Insecure.MD5()
        digest.update(
            bufferPointer: UnsafeRawBufferPointer(rebasing: bytes[Self.magic.count..<end])
        )
        guard digest.finalize().elementsEqual(bytes[end...]) else { return nil }
        var reader = ProtobufReader(bytes, Self.magic.count..<end)
        var records: [Range<Int>] = []
        while let field = reader.next() {
            // records = 3
            guard field.number == 3, let record = field.bytes else { continue }
            var inner = ProtobufReader(bytes, record)
            var data: Range<Int>?
            while let field = inner.next() {
                // data = 3, of which the last counts
                if field.number == 3 { data = field.bytes ?? data }
            }
            guard !inner.isBroken, let data else { return nil }
            records.append(data)
        }
        guard !reader.isBroken, !records.isEmpty else { return nil }
        self.records = records
    }
}

/// Reads the fields of a protobuf message (protobuf.dev, "Encoding").
private struct ProtobufReader {
    struct Field {
        var number: UInt64
        /// Of a field with a length.
        var bytes: Range<Int>?
    }

    private let bytes: UnsafeRawBufferPointer
    private let end: Int
    private var place: Int
    /// Whether something was read that cannot be there.
    private(set) var isBroken = false

    init(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) {
        self.bytes = bytes
        place = range.lowerBound
        end = range.upperBound
    }

    /// The next field; nil at the end, or where the message is broken.
    mutating func next() -> Field? {
        guard !isBroken, place < end else { return nil }
        guard let tag = varint(), tag >> 3 > 0 else { return broken() }
        let number = tag >> 3
        switch tag & 7 {
        case 0: return varint().map { _ in Field(number: number) } ?? broken()
        case 1: return skip(8) ? Field(number: number) : broken()
        case 2:
            guard let count = varint(), count <= UInt64(end - place) else { return broken() }
            defer { place += Int(count) }
            return Field(number: number, bytes: place..<place + Int(count))
        case 5: return skip(4) ? Field(number: number) : broken()
        default: return broken()
        }
    }

    private mutating func broken() -> Field? {
        isBroken = true
        return nil
    }

    private mutating func skip(_ count: Int) -> Bool {
        guard count <= end - place else { return false }
        place += count
        return true
    }

    private mutating func varint() -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: 0 as UInt64, to: 64, by: 7) {
            guard place < end else { return nil }
            let byte = bytes[place]
            place += 1
            // The tenth byte has room for one bit.
            guard shift < 63 || byte <= 1 else { return nil }
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return value }
        }
        return nil
    }
}
