internal import Destinations
package import Records

/// What stands in a stream's outcome log, where transformed records wait for their delivery: records as
/// in any log, each with a byte in front that says what it is.
package enum OutcomeRecord: UInt8 {
    /// How far the stream's own log has been transformed with this frame; see `Progress`.
    case progress = 0
    /// A record for the destination.
    case delivered = 1
    /// A line of JSON for the error prefix, without its line feed.
    case processingFailed = 2
    /// The same.
    case decompressionFailed = 3

    /// Bytes in front of a record.
    package static let tagBytes = 1

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
    package struct Progress: Sendable, Equatable {
        /// Bytes that `write` needs.
        package static let byteCount = 80
        /// Those of frames that versions before wrote, without `from`.
        private static let oldByteCount = 72

        /// The batch that was being transformed.
        package var start: LogMark
        /// Its end.
        package var end: LogMark
        /// How many of its records those before this frame cover; nil where they do not say.
        package var from: UInt64?
        /// How many of its records this frame and those before it cover.
        package var records: UInt64
        /// Whether those are all.
        package var isComplete: Bool

        /// A part of a batch.
        package init(
            start: LogMark,
            end: LogMark,
            from: UInt64?,
            records: UInt64,
            isComplete: Bool
        ) {
            self.start = start
            self.end = end
            self.from = from
            self.records = records
            self.isComplete = isComplete
        }

        /// Whether it goes on where another ends: of two frames for the same records, the first counts.
        package func follows(_ last: Progress) -> Bool {
            guard let from else { return true }
            if start == last.start { return from == last.records }
            // Counters may jump over damage, never back.
            return start.records >= last.start.records + last.records
        }

        /// Reads what `write` wrote; nil where the length is another.
        package init?(_ bytes: UnsafeRawBufferPointer) {
            guard [Self.byteCount, Self.oldByteCount].contains(bytes.count) else { return nil }
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
            from = bytes.count == Self.byteCount ? load(9) : nil
        }

        /// Writes it: ten numbers of 64 bits, little endian.
        package func write(to space: UnsafeMutableRawBufferPointer) {
            var numbers: [UInt64] = []
            for mark in [start, end] {
                numbers += [
                    mark.position.offset, UInt64(mark.position.record), mark.records, mark.bytes,
                ]
            }
            numbers += [records << 1 | (isComplete ? 1 : 0), from ?? 0]
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
