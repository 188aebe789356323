internal import CKernels
internal import JSON
package import Records

/// Finds the records in the body of a put and decodes them straight into the block that the log
/// writes.
package struct PutBodyScanner: ~Copyable {
    /// A scanned put.
    package struct Put {
        /// The stream it names; its form is checked.
        package var streamName: String
        /// The records, within all limits.
        package var batch: RecordBatch
    }

    private var cursor = JSONCursor(maximumDepth: Limits.maximumJSONDepth)
    private var streamName: String?
    private var hasRecords = false
    private var problems = ConstraintViolations()
    private var builder: RecordBatch.Builder
    private var recordCount = 0

    /// Scans a body.
    ///
    /// - Throws: SerializationException where it is not JSON of the operation's form or a record is
    ///   not base64; ValidationException and InvalidArgumentException where a limit is passed. Then
    ///   nothing of the put is kept.
    package static func scan(
        _ json: Span<UInt8>,
        _ operation: PutOperation
    ) throws(FirehoseError)
        -> Put
    {
        // Four characters give three bytes, and what surrounds a record is longer than its prefix.
        var scanner = PutBodyScanner(capacity: json.count / 4 * 3 + 64)
        do throws(JSONCursor.Failure) {
            try scanner.body(json, operation)
        } catch {
            throw FirehoseError(
                .serialization,
                "The request body cannot be read: \(error.reason) at byte \(error.offset)."
            )
        }
        return try scanner.finish(operation)
    }

    private init(capacity: Int) { builder = RecordBatch.Builder(capacity: capacity) }

    private mutating func body(
        _ json: Span<UInt8>,
        _ operation: PutOperation
    )
        throws(JSONCursor.Failure)
    {
        try members(json) { (scanner, name, json) throws(JSONCursor.Failure) in
            switch (name, operation) {
            case (.streamName, _):
                guard scanner.streamName == nil else {
                    throw scanner.cursor.failure("DeliveryStreamName stands twice")
                }
                guard try !scanner.cursor.takeNull(json) else { return }
                let raw = try scanner.cursor.string(json)
                scanner.streamName = scanner.cursor.text(raw, json)
            case (.record, .putRecord):
                guard !scanner.hasRecords else {
                    throw scanner.cursor.failure("Record stands twice")
                }
                guard try !scanner.cursor.takeNull(json) else { return }
                scanner.hasRecords = true
                try scanner.record(json, operation)
            case (.records, .putRecordBatch):
                guard !scanner.hasRecords else {
                    throw scanner.cursor.failure("Records stands twice")
                }
                guard try !scanner.cursor.takeNull(json) else { return }
                scanner.hasRecords = true
                try scanner.records(json, operation)
            default:
                try scanner.cursor.skipValue(json, depth: 1)
            }
        }
        try cursor.expectEnd(json)
    }

    private enum Member {
        case streamName
        case record
        case records
        case data
        case other
    }

    /// Takes an object and gives each member's name to `value`, which takes its value.
    private mutating func members(
        _ json: Span<UInt8>,
        _ value: (inout PutBodyScanner, Member, Span<UInt8>) throws(JSONCursor.Failure) -> Void
    ) throws(JSONCursor.Failure) {
        try cursor.expect(UInt8(ascii: "{"), json)
        if cursor.take(UInt8(ascii: "}"), json) { return }
        repeat {
            let name = try memberName(json)
            try cursor.expect(UInt8(ascii: ":"), json)
            try value(&self, name, json)
        } while cursor.take(UInt8(ascii: ","), json)
        try cursor.expect(UInt8(ascii: "}"), json)
    }

    private mutating func memberName(_ json: Span<UInt8>) throws(JSONCursor.Failure) -> Member {
        let raw = try cursor.string(json)
        // Names are told apart by length and first letter before anything is copied.
        // With escapes, a character takes six bytes at the most.
        let isKnown =
            raw.hasEscapes
            ? raw.range.count <= 6 * 18 : [4, 6, 7, 18].contains(raw.range.count)
        guard isKnown else { return .other }
        if !raw.hasEscapes, raw.range.count == 4,
            json[raw.range.lowerBound] == UInt8(ascii: "D"),
            json[raw.range.lowerBound + 1] == UInt8(ascii: "a"),
            json[raw.range.lowerBound + 2] == UInt8(ascii: "t"),
            json[raw.range.lowerBound + 3] == UInt8(ascii: "a")
        {
            return .data
        }
        return switch cursor.text(raw, json) {
        case "DeliveryStreamName": .streamName
        case "Record": .record
        case "Records": .records
        case "Data": .data
        default: .other
        }
    }

    // MARK: Records

    private mutating func records(
        _ json: Span<UInt8>,
        _ operation: PutOperation
    )
        throws(JSONCursor.Failure)
    {
        try cursor.expect(UInt8(ascii: "["), json)
        if cursor.take(UInt8(ascii: "]"), json) { return }
        repeat { try record(json, operation) } while cursor.take(UInt8(ascii: ","), json)
        try cursor.expect(UInt8(ascii: "]"), json)
    }

    private mutating func record(
        _ json: Span<UInt8>,
        _ operation: PutOperation
    )
        throws(JSONCursor.Failure)
    {
        recordCount += 1
        // More than a batch may have are counted, and no longer looked at for their limits.
        let isCounted = recordCount <= Limits.maximumBatchRecords
        let before = builder.recordCount
        guard try !cursor.takeNull(json) else {
            if isCounted { problems.add(.null, at: path(operation, member: nil)) }
            return
        }
        try members(json) { (scanner, name, json) throws(JSONCursor.Failure) in
            guard name == .data else { return try scanner.cursor.skipValue(json, depth: 3) }
            guard scanner.builder.recordCount == before else {
                throw scanner.cursor.failure("Data stands twice in a record")
            }
            guard try !scanner.cursor.takeNull(json) else { return }
            try scanner.data(json, operation)
        }
        if builder.recordCount == before, isCounted {
            problems.add(.null, at: path(operation, member: "data"))
        }
    }

    private mutating func data(
        _ json: Span<UInt8>,
        _ operation: PutOperation
    )
        throws(JSONCursor.Failure)
    {
        let count = try decodePlain(json)
        if count > Limits.maximumRecordBytes {
            problems.add(
                .tooLong(
                    value: "java.nio.HeapByteBuffer[pos=0 lim=\(count) cap=\(count)]",
                    maximum: Limits.maximumRecordBytes
                ),
                at: path(operation, member: "data")
            )
        }
    }

    /// Decodes a string of base64 into the block and returns how many bytes it gave.
    private mutating func decodePlain(_ json: Span<UInt8>) throws(JSONCursor.Failure) -> Int {
        guard cursor.take(0x22, json) else { throw cursor.failure("expected a string") }
        let start = cursor.at
        var failure: JSONCursor.Failure?
        var written = 0
        var cursor = self.cursor
        builder.appendRecord { space in
            let source = json.extracting(start..<json.count)
            var read = 0
            written = Self.decode(source, into: space, &read)
            cursor.at = start + read
            // Almost always the string ends here, or with its padding.
            do throws(JSONCursor.Failure) {
                guard try !Self.endsHere(&cursor, read, json) else { return written }
                cursor.at = start
                let raw = try cursor.stringBody(json, from: start)
                guard raw.hasEscapes else { throw cursor.failure("Data is not base64") }
                written = try Self.decodeEscaped(raw, cursor, json, into: space)
            } catch {
                failure = error
                written = 0
            }
            return written
        }
        self.cursor = cursor
        if let failure { throw failure }
        return written
    }

    /// Decodes up to the first byte that is not of base64.
    private static func decode(
        _ source: Span<UInt8>,
        into space: UnsafeMutableRawBufferPointer,
        _ read: inout Int
    ) -> Int {
        let room = max(0, (space.count - 3) / 3 * 4)
        return source.withUnsafeBufferPointer { bytes in
            guard let from = bytes.baseAddress,
                let target = space.baseAddress?.assumingMemoryBound(to: UInt8.self)
            else { return 0 }
            return hydrant_base64_decode(from, min(bytes.count, room), target, &read)
        }
    }

    /// After `characters` of base64: takes padding and the closing quote, if they are right.
    private static func endsHere(
        _ cursor: inout JSONCursor,
        _ characters: Int,
        _ json: Span<UInt8>
    ) throws(JSONCursor.Failure) -> Bool {
        var padding = 0
        while cursor.at < json.count, json[cursor.at] == UInt8(ascii: "="), padding < 2 {
            padding += 1
            cursor.at += 1
        }
        guard cursor.at < json.count, json[cursor.at] == 0x22 else { return false }
        cursor.at += 1
        let isWhole = (characters + padding) % 4 == 0 && characters % 4 != 1
        guard isWhole else { throw cursor.failure("Data is not base64: wrong padding") }
        return true
    }

    /// A string with escapes, as encoders write that put a backslash before each slash.
    private static func decodeEscaped(
        _ raw: JSONCursor.RawString,
        _ cursor: JSONCursor,
        _ json: Span<UInt8>,
        into space: UnsafeMutableRawBufferPointer
    ) throws(JSONCursor.Failure) -> Int {
        // A quote behind the text lets the same code find its end.
        let text = cursor.unescaped(raw, json) + [0x22]
        var inner = JSONCursor(maximumDepth: 1)
        var read = 0
        let written = decode(text.span, into: space, &read)
        inner.at = read
        let isWhole = Result { () throws(JSONCursor.Failure) in
            try endsHere(&inner, read, text.span)
        }
        guard case .success(true) = isWhole, inner.at == text.count else {
            throw cursor.failure("Data is not base64")
        }
        return written
    }

    // MARK: Limits

    private func path(_ operation: PutOperation, member: String?) -> String {
        let path =
            switch operation {
            case .putRecord: "record"
            case .putRecordBatch: "records.\(recordCount).member"
            }
        return member.map { "\(path).\($0)" } ?? path
    }

    private consuming func finish(_ operation: PutOperation) throws(FirehoseError) -> Put {
        if let streamName {
            problems.checkStreamName(streamName, at: "deliveryStreamName")
        } else {
            problems.add(.null, at: "deliveryStreamName")
        }
        let path = operation == .putRecord ? "record" : "records"
        if !hasRecords {
            problems.add(.null, at: path)
        } else if operation == .putRecordBatch {
            if recordCount == 0 {
                problems.add(.tooShort(value: "[]", minimum: 1), at: path)
            } else if recordCount > Limits.maximumBatchRecords {
                problems.add(
                    .tooLong(
                        value: "[\(recordCount) records]",
                        maximum: Limits.maximumBatchRecords
                    ),
                    at: path
                )
            }
        }
        try problems.check()
        guard builder.dataBytes <= Limits.maximumBatchBytes else {
            throw FirehoseError(.invalidArgument, "Records size exceeds 4 MB limit")
        }
        guard let streamName else { throw FirehoseError(.validation, "no stream is named") }
        return Put(streamName: streamName, batch: builder.build())
    }
}
