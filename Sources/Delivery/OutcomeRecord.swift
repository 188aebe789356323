internal import Destinations
internal import Records

/// What stands in a stream's outcome log, where transformed records wait for their delivery: records as
/// in any log, each with a byte in front that says what it is.
enum OutcomeRecord: UInt8 {
    /// How far the stream's own log has been transformed with this frame; see `Progress`.
    case progress = 0
    /// A record for the destination.
    case delivered = 1
    /// A line of JSON for the error prefix, without its line feed.
    case processingFailed = 2
    /// The same.
    case decompressionFailed = 3

    /// Bytes in front of a record.
    static let tagBytes = 1

    /// Where lines of this kind go; nil for others.
    var errorOutputType: ErrorOutputType? {
        switch self {
        case .progress, .delivered: nil
        case .processingFailed: .processingFailed
        case .decompressionFailed: .decompressionFailed
        }
    }

    /// Which part of the stream's own log the outcome log holds up to a frame, inclusive.
    ///
    /// It stands in the same frame as the outcome, so both are durable or neither is: after a crash,
    /// what is behind it is transformed, and nothing before it again.
    struct Progress: Equatable {
        static let byteCount = 72

        /// The batch that was being transformed.
        var start: LogMark
        /// Its end.
        var end: LogMark
        /// How many of its records this frame and those before it cover.
        var records: UInt64
        /// Whether those are all.
        var isComplete: Bool

        init(start: LogMark, end: LogMark, records: UInt64, isComplete: Bool) {
            self.start = start
            self.end = end
            self.records = records
            self.isComplete = isComplete
        }

        /// Reads what `write` wrote; nil where the length is another.
        init?(_ bytes: UnsafeRawBufferPointer) {
            guard bytes.count == Self.byteCount else { return nil }
            func load(_ index: Int) -> UInt64 {
                UInt64(
                    littleEndian: bytes.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)
                )
            }
            func mark(_ index: Int) -> LogMark {
                LogMark(
                    position: LogPosition(
                        offset: load(index),
                        record: UInt32(truncatingIfNeeded: load(index + 1))
                    ),
                    records: load(index + 2),
                    bytes: load(index + 3)
                )
            }
            start = mark(0)
            end = mark(4)
            records = load(8) >> 1
            isComplete = load(8) & 1 == 1
        }

        /// Writes it: nine numbers of 64 bits, little endian.
        func write(to space: UnsafeMutableRawBufferPointer) {
            var numbers: [UInt64] = []
            for mark in [start, end] {
                numbers += [
                    mark.position.offset, UInt64(mark.position.record), mark.records, mark.bytes,
                ]
            }
            numbers.append(records << 1 | (isComplete ? 1 : 0))
            for (index, number) in numbers.enumerated() {
                space.storeBytes(
                    of: number.littleEndian,
                    toByteOffset: index * 8,
                    as: UInt64.self
                )
            }
        }
    }
}
