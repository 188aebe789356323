internal import Platform
internal import Records

/// The 64 bytes before each batch in a segment.
///
/// `Format.md` has the layout.
struct FrameHeader: Equatable {
    static let byteCount = 64
    static let magic: UInt32 = 0x3146_5948  // "HYF1"
    /// Of a frame whose payload is encrypted; see `EncryptionKeys`.
    static let encryptedMagic: UInt32 = 0x3153_5948  // "HYS1"
    /// The largest payload that a frame can have.
    static let maximumPayloadBytes = Limits.maximumFrameBytes

    /// Whether the payload is encrypted.
    var isEncrypted: Bool
    /// Which log the frame is of: the lower half of the log's number.
    ///
    /// Segments are used again, by other logs too, whose frames may stand at the very same offsets.
    var logTag: UInt32
    /// Where the frame stands in the log: the offset of its first byte.
    var offset: UInt64
    /// Bytes of the payload, without padding.
    var payloadBytes: UInt32
    var recordCount: UInt32
    /// CRC-32C of the payload.
    var payloadChecksum: UInt32
    /// When the batch arrived, as the clock said; it may be set back, and then a frame's is earlier than
    /// that of the one before.
    var arrival: Timestamp
    /// Records in the log before this frame.
    var firstRecord: UInt64
    /// Bytes of record data in the log before this frame.
    var firstByte: UInt64
    /// Everything before this offset was durable when the frame was written.
    var committed: UInt64

    /// Bytes from this frame's start to the next one's.
    var frameBytes: UInt64 { UInt64(Self.byteCount + RecordBatch.padded(Int(payloadBytes))) }
    /// Bytes of record data in the frame.
    var dataBytes: UInt64 {
        UInt64(plainBytes) - UInt64(recordCount) * UInt64(RecordBatch.lengthPrefixBytes)
    }
    /// The mark at the frame's start.
    var start: LogMark {
        LogMark(
            position: LogPosition(offset: offset),
            records: firstRecord,
            bytes: firstByte
        )
    }
    /// The mark behind the frame.
    var end: LogMark {
        LogMark(
            position: LogPosition(offset: offset + frameBytes),
            records: firstRecord + UInt64(recordCount),
            bytes: firstByte + dataBytes
        )
    }

    /// Writes the header's 64 bytes to the start of `buffer`.
    func encode(into buffer: UnsafeMutableRawBufferPointer) {
        buffer.store(isEncrypted ? Self.encryptedMagic : Self.magic, at: 0)
        buffer.store(offset, at: 8)
        buffer.store(payloadBytes, at: 16)
        buffer.store(recordCount, at: 20)
        buffer.store(payloadChecksum, at: 24)
        buffer.store(logTag, at: 28)
        buffer.store(UInt64(bitPattern: arrival.milliseconds), at: 32)
        buffer.store(firstRecord, at: 40)
        buffer.store(firstByte, at: 48)
        buffer.store(committed, at: 56)
        let checked = UnsafeRawBufferPointer(rebasing: buffer[8..<Self.byteCount])
        buffer.store(Self.checksum(checked, isEncrypted: isEncrypted), at: 4)
    }

    /// Reads a header that stands at `offset` of the log; nil unless magic, checksum, log, offset and
    /// lengths are right.
    init?(_ buffer: UnsafeRawBufferPointer, expectedOffset: UInt64, logTag: UInt32) {
        guard buffer.count >= Self.byteCount, Self.isMagic(buffer.load32(0)),
            buffer.load64(8) == expectedOffset, buffer.load32(28) == logTag
        else { return nil }
        let checked = UnsafeRawBufferPointer(rebasing: buffer[8..<Self.byteCount])
        isEncrypted = buffer.load32(0) == Self.encryptedMagic
        guard Self.checksum(checked, isEncrypted: isEncrypted) == buffer.load32(4) else {
            return nil
        }
        self.logTag = logTag
        offset = expectedOffset
        payloadBytes = buffer.load32(16)
        recordCount = buffer.load32(20)
        payloadChecksum = buffer.load32(24)
        arrival = Timestamp(milliseconds: Int64(bitPattern: buffer.load64(32)))
        firstRecord = buffer.load64(40)
        firstByte = buffer.load64(48)
        committed = buffer.load64(56)
        guard payloadBytes <= Self.maximumPayloadBytes, recordCount > 0,
            UInt64(recordCount) * UInt64(RecordBatch.lengthPrefixBytes) <= UInt64(plainBytes)
        else { return nil }
    }

    /// Whether a frame's header may begin with a number.
    static func isMagic(_ number: UInt32) -> Bool { number == magic || number == encryptedMagic }

    /// The checksum of a header's bytes from the eighth on; it tells the two kinds of frames apart as
    /// well.
    private static func checksum(_ bytes: UnsafeRawBufferPointer, isEncrypted: Bool) -> UInt32 {
        isEncrypted ? ~CRC32C.checksum(bytes) : CRC32C.checksum(bytes)
    }

    /// Bytes of the payload once it is open.
    var plainBytes: Int {
        isEncrypted
            ? EncryptedPayload.plainBytes(ofEncrypted: Int(payloadBytes)) : Int(payloadBytes)
    }

    /// What encryption ties a payload to: all of the header but its checksums.
    var authenticated: [UInt8] {
        var header = self
        header.payloadChecksum = 0
        var bytes = [UInt8](repeating: 0, count: Self.byteCount)
        bytes.withUnsafeMutableBytes { header.encode(into: $0) }
        return Array(bytes[8...])
    }

    init(
        of logTag: UInt32,
        at mark: LogMark,
        payloadBytes: UInt32,
        recordCount: UInt32,
        payloadChecksum: UInt32,
        arrival: Timestamp,
        committed: UInt64,
        isEncrypted: Bool = false
    ) {
        self.isEncrypted = isEncrypted
        self.logTag = logTag
        offset = mark.position.offset
        self.payloadBytes = payloadBytes
        self.recordCount = recordCount
        self.payloadChecksum = payloadChecksum
        self.arrival = arrival
        firstRecord = mark.records
        firstByte = mark.bytes
        self.committed = committed
    }
}

extension UnsafeRawBufferPointer {
    /// A little-endian number at a byte offset.
    func load32(_ offset: Int) -> UInt32 {
        UInt32(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
    /// A little-endian number at a byte offset.
    func load64(_ offset: Int) -> UInt64 {
        UInt64(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
}

extension UnsafeMutableRawBufferPointer {
    /// Stores a number in little-endian order at a byte offset.
    func store(_ value: some FixedWidthInteger & BitwiseCopyable, at offset: Int) {
        storeBytes(of: value.littleEndian, toByteOffset: offset, as: type(of: value))
    }
}
