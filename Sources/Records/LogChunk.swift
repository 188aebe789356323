/// A piece of what a reader gets.
package enum LogChunk {
    /// Records of one batch.
    case records(LogRecords)
    /// A range that cannot be read back, with all that is left of it.
    case damaged(LogDamage)
}

/// Records of one batch with consecutive numbers; valid during the call that gives them alone.
package struct LogRecords {
    /// Their data, in the layout of `RecordBatch`.
    package var layout: UnsafeRawBufferPointer
    /// The number of the first.
    package var first: RecordNumber
    /// How many there are.
    package var count: Int
    /// When the batch arrived.
    package var arrival: Timestamp
    /// The generation of the log that they were appended in.
    package var generation: UInt64

    /// Records in `layout`.
    package init(
        _ layout: UnsafeRawBufferPointer,
        first: RecordNumber,
        count: Int,
        arrival: Timestamp,
        generation: UInt64
    ) {
        self.generation = generation
        self.layout = layout
        self.first = first
        self.count = count
        self.arrival = arrival
    }

    /// Calls `body` with each record's bytes and number.
    package func forEachRecord<Failure: Error>(
        _ body: (UnsafeRawBufferPointer, RecordNumber) throws(Failure) -> Void
    ) throws(Failure) {
        var number = first
        try RecordLayout.forEachRecord(in: layout) { record throws(Failure) in
            try body(record, number)
            number = number + 1
        }
    }
}

/// A part of the log that fails its checksum.
package struct LogDamage: Sendable, Hashable {
    /// First byte, as a position's offset.
    package var start: UInt64
    /// The byte behind the last.
    package var end: UInt64
    /// What was found.
    package var reason: String
    /// The file, and where in it the range begins.
    package var location: String
    /// What the disk gave back, for whoever wants to rescue something.
    package var bytes: [UInt8]

    /// A damaged range.
    package init(start: UInt64, end: UInt64, reason: String, location: String, bytes: [UInt8]) {
        self.start = start
        self.end = end
        self.reason = reason
        self.location = location
        self.bytes = bytes
    }
}
