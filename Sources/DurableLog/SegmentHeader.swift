internal import Platform
internal import Records

/// The first 4096 bytes of a segment file.
///
/// `Format.md` has the layout.
struct SegmentHeader: Equatable {
    /// Frames begin on a page of their own.
    static let byteCount = 4096
    /// What is used of them.
    static let usedBytes = 64
    static let magic: UInt64 = 0x3147_4553_5244_5948  // "HYDRSEG1"
    static let version: UInt32 = 1
    /// What a later program may have written; any other number is none of ours.
    private static let laterVersions: ClosedRange<UInt32> = 2...100

    /// The log's own number.
    var logIdentity: UInt64
    /// The mark at which the segment's first frame stands.
    var base: LogMark
    /// The generation that its records have; 0 in a segment of a version that had none, where it is the
    /// log's own number.
    var generation: UInt64

    var encoded: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Self.byteCount)
        bytes.withUnsafeMutableBytes { buffer in
            buffer.store(Self.magic, at: 0)
            buffer.store(Self.version, at: 8)
            buffer.store(logIdentity, at: 16)
            buffer.store(base.position.offset, at: 24)
            buffer.store(base.records, at: 32)
            buffer.store(base.bytes, at: 40)
            buffer.store(generation, at: 48)
            let checked = UnsafeRawBufferPointer(rebasing: buffer[16..<Self.usedBytes])
            buffer.store(CRC32C.checksum(checked), at: 12)
        }
        return bytes
    }

    /// What reading a header can find.
    enum Finding: Equatable {
        case valid(SegmentHeader)
        case otherVersion(UInt32)
        case damaged
    }

    static func decode(_ bytes: [UInt8]) -> Finding {
        bytes.withUnsafeBytes { buffer in
            guard buffer.count >= usedBytes, buffer.load64(0) == magic else { return .damaged }
            let version = buffer.load32(8)
            let checked = UnsafeRawBufferPointer(rebasing: buffer[16..<usedBytes])
            let isRight = CRC32C.checksum(checked) == buffer.load32(12)
            guard version == Self.version else {
                // A later version has another checksum: one that matches is this version's, with a bit wrong.
                return !isRight && Self.laterVersions.contains(version)
                    ? .otherVersion(version) : .damaged
            }
            guard isRight else { return .damaged }
            return .valid(
                SegmentHeader(
                    logIdentity: buffer.load64(16),
                    base: LogMark(
                        position: LogPosition(offset: buffer.load64(24)),
                        records: buffer.load64(32),
                        bytes: buffer.load64(40)
                    ),
                    generation: buffer.load64(48)
                )
            )
        }
    }
}

/// A segment file and what the log knows of it.
struct Segment {
    static let suffix = ".segment"
    /// Behind the name of one that is being made.
    static let unfinishedSuffix = ".new"

    var file: SegmentFile
    /// The offset of the first frame.
    var base: UInt64
    /// The offset behind the last byte that belongs to the log, once the next segment has begun.
    var end: UInt64?
    /// Bytes that the file takes on disk.
    var capacity: UInt64
    /// The generation that its records have.
    var generation: UInt64

    /// Where an offset of the log lies in the file.
    func place(of offset: UInt64) -> UInt64 { UInt64(SegmentHeader.byteCount) + offset - base }

    static func name(base: UInt64) -> String {
        let digits = String(base, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits + suffix
    }

    static func base(ofName name: String) -> UInt64? {
        guard name.hasSuffix(suffix) else { return nil }
        return UInt64(name.dropLast(suffix.count), radix: 16)
    }
}
