/// The records of one put, in the layout in which the log stores them.
///
/// The payload is one block: for each record its length (4 bytes, little endian), then its bytes.
/// It is filled once, by a `RecordBatch.Builder`, and never changes after.
///
/// Unchecked because the compiler cannot see that nobody writes to the block after `build()`.
package final class RecordBatch: @unchecked Sendable {
    /// Bytes before each record's data.
    package static let lengthPrefixBytes = 4
    /// The block is padded with zeros to a multiple of this, as frames in the log are.
    package static let alignmentBytes = 8

    private let storage: UnsafeMutableRawPointer
    /// Bytes of the payload: prefixes and data, without the padding.
    package let payloadBytes: Int
    /// How many records there are.
    package let recordCount: Int

    /// Bytes of the records' data alone.
    package var dataBytes: Int { payloadBytes - recordCount * Self.lengthPrefixBytes }

    /// The payload with its padding; valid as long as the batch.
    package var paddedPayload: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: storage, count: Self.padded(payloadBytes))
    }

    /// The payload; valid as long as the batch.
    package var payload: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: storage, count: payloadBytes)
    }

    fileprivate init(storage: UnsafeMutableRawPointer, payloadBytes: Int, recordCount: Int) {
        self.storage = storage
        self.payloadBytes = payloadBytes
        self.recordCount = recordCount
    }

    deinit { storage.deallocate() }

    /// A batch of these records.
    package convenience init(_ records: [[UInt8]]) {
        var builder = Builder(
            capacity: records.reduce(0) { $0 + $1.count + Self.lengthPrefixBytes }
        )
        for record in records {
            builder.appendRecord { space in
                space.copyBytes(from: record)
                return record.count
            }
        }
        let (storage, payloadBytes, recordCount) = builder.take()
        self.init(storage: storage, payloadBytes: payloadBytes, recordCount: recordCount)
    }

    /// A number of bytes with padding to the alignment.
    package static func padded(_ count: Int) -> Int {
        (count + alignmentBytes - 1) & ~(alignmentBytes - 1)
    }

    /// A batch of the first `count` records, copied.
    package func prefix(_ count: Int) -> RecordBatch {
        var end = 0
        for _ in 0..<min(count, recordCount) {
            guard let next = RecordLayout.end(ofRecordAt: end, in: payload) else { break }
            end = next
        }
        let space = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Self.padded(end) + Self.alignmentBytes,
            alignment: 16
        )
        space.initializeMemory(as: UInt8.self, repeating: 0)
        space.copyMemory(from: UnsafeRawBufferPointer(rebasing: payload[..<end]))
        guard let storage = space.baseAddress else {
            preconditionFailure("an allocation of some bytes has an address")
        }
        return RecordBatch(
            storage: storage,
            payloadBytes: end,
            recordCount: min(count, recordCount)
        )
    }

    /// Copies of the records, for tests and for consumers that do not mind.
    package var records: [[UInt8]] {
        var all: [[UInt8]] = []
        RecordLayout.forEachRecord(in: payload) { all.append([UInt8]($0)) }
        return all
    }

    /// Fills the block of a batch, front to back.
    package struct Builder: ~Copyable {
        private let storage: UnsafeMutableRawPointer
        private let capacity: Int
        private var used = 0
        /// How many records there are so far.
        package private(set) var recordCount = 0

        /// Bytes of the records' data so far.
        package var dataBytes: Int { used - recordCount * RecordBatch.lengthPrefixBytes }

        /// A block for at most `capacity` bytes of prefixes and data.
        package init(capacity: Int) {
            self.capacity = capacity
            storage = .allocate(
                byteCount: RecordBatch.padded(capacity) + RecordBatch.alignmentBytes,
                alignment: 16
            )
        }

        deinit { storage.deallocate() }

        /// Appends the record that `fill` writes into the free space; it returns how many bytes.
        package mutating func appendRecord<Failure: Error>(
            _ fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int
        ) throws(Failure) {
            let start = used + RecordBatch.lengthPrefixBytes
            precondition(start <= capacity, "the block's capacity is the caller's promise")
            let count = try fill(
                UnsafeMutableRawBufferPointer(start: storage + start, count: capacity - start)
            )
            precondition(count >= 0 && start + count <= capacity)
            storage.storeBytes(
                of: UInt32(count).littleEndian,
                toByteOffset: used,
                as: UInt32.self
            )
            used = start + count
            recordCount += 1
        }

        /// The batch.
        package consuming func build() -> RecordBatch {
            let (storage, payloadBytes, recordCount) = take()
            return RecordBatch(
                storage: storage,
                payloadBytes: payloadBytes,
                recordCount: recordCount
            )
        }

        fileprivate consuming func take() -> (UnsafeMutableRawPointer, Int, Int) {
            for index in used..<RecordBatch.padded(used) {
                storage.storeBytes(of: 0, toByteOffset: index, as: UInt8.self)
            }
            let result = (storage, used, recordCount)
            discard self
            return result
        }
    }
}

/// Reads the layout of a batch's payload.
package enum RecordLayout {
    /// Calls `body` with each record's bytes; false where the lengths do not add up, and then `body`
    /// has seen the records before the fault.
    @discardableResult
    package static func forEachRecord<Failure: Error>(
        in payload: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) -> Bool {
        var position = 0
        while position < payload.count {
            guard let next = end(ofRecordAt: position, in: payload) else { return false }
            try body(
                UnsafeRawBufferPointer(
                    rebasing: payload[position + RecordBatch.lengthPrefixBytes..<next]
                )
            )
            position = next
        }
        return true
    }

    /// Where the record that begins at `position` ends, or nil where it does not fit.
    package static func end(ofRecordAt position: Int, in payload: UnsafeRawBufferPointer) -> Int? {
        let start = position + RecordBatch.lengthPrefixBytes
        guard start <= payload.count else { return nil }
        let length = UInt32(
            littleEndian: payload.loadUnaligned(fromByteOffset: position, as: UInt32.self)
        )
        let end = start + Int(length)
        return end <= payload.count ? end : nil
    }
}
