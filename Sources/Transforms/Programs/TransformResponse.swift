internal import CKernels
internal import JSON
package import Platform

/// What a transform answered, record by record.
package struct TransformResponse: Sendable {
    /// What became of one record.
    package enum Outcome: Sendable, Hashable {
        /// Transformed: a range of `data`.
        case ok(Range<Int>)
        /// Left out on purpose.
        case dropped
        /// Not transformed.
        case failed(LambdaError, message: String)
    }

    /// An outcome for each record of the event, in its order.
    package private(set) var outcomes: [Outcome] = []
    /// The records' data, decoded.
    package let data: Block

    /// Reads a response.
    ///
    /// A record that is missing, twice there or malformed fails alone; ids that were not asked for are
    /// ignored; a response without `records` misses them all (real AWS, as probed by third parties).
    ///
    /// - Throws: `InvocationFailure` where it is not JSON.
    package init(_ json: Block, to event: TransformEvent) throws(InvocationFailure) {
        var data = Block.Builder(capacity: json.count / 4 * 3 + 64)
        var reader = ResponseReader(event, data.room.assumingMemoryBound(to: UInt8.self))
        do throws(JSONCursor.Failure) {
            try reader.read(json.bytes.assumingMemoryBound(to: UInt8.self).span)
        } catch {
            throw InvocationFailure(
                .jsonProcessing,
                "the response is not JSON: \(error.reason) at byte \(error.offset)"
            )
        }
        data.advance(by: reader.used)
        self.data = data.build()
        outcomes = reader.outcomes.map {
            $0 ?? .failed(.missingRecordID, message: LambdaError.missingRecordID.message)
        }
    }
}

/// Reads a response and decodes its data into a block with room for all of it.
private struct ResponseReader {
    private let event: TransformEvent
    private let space: UnsafeMutableBufferPointer<UInt8>
    private var cursor = JSONCursor(maximumDepth: 512)
    var used = 0
    var outcomes: [TransformResponse.Outcome?]
    /// The record that is expected next: most transforms keep the order.
    private var expected = 0
    private var indexes: [[UInt8]: Int]?

    init(_ event: TransformEvent, _ space: UnsafeMutableBufferPointer<UInt8>) {
        self.event = event
        self.space = space
        outcomes = Array(repeating: nil, count: event.recordCount)
    }

    /// One item of `records`.
    private struct Item {
        var identifier: JSONCursor.RawString?
        var result: JSONCursor.RawString?
        var data: Content = .missing
    }

    /// A string that should be base64, decoded already.
    private enum Content {
        case missing
        case decoded(Range<Int>)
        case malformed
    }

    mutating func read(_ json: Span<UInt8>) throws(JSONCursor.Failure) {
        if cursor.peek(json) == UInt8(ascii: "{") {
            try members(json) { (reader, name, json) throws(JSONCursor.Failure) in
                guard name == .records, reader.cursor.peek(json) == UInt8(ascii: "[") else {
                    return try reader.cursor.skipValue(json, depth: 1)
                }
                try reader.records(json)
            }
        } else {
            try cursor.skipValue(json)
        }
        try cursor.expectEnd(json)
    }

    private mutating func records(_ json: Span<UInt8>) throws(JSONCursor.Failure) {
        try cursor.expect(UInt8(ascii: "["), json)
        if cursor.take(UInt8(ascii: "]"), json) { return }
        repeat {
            guard cursor.peek(json) == UInt8(ascii: "{") else {
                try cursor.skipValue(json, depth: 2)
                continue
            }
            var item = Item()
            try members(json) { (reader, name, json) throws(JSONCursor.Failure) in
                let isText = reader.cursor.peek(json) == UInt8(ascii: "\"")
                switch name {
                case .recordID where isText: item.identifier = try reader.cursor.string(json)
                case .result where isText: item.result = try reader.cursor.string(json)
                case .data where isText: item.data = try reader.decodedString(json)
                default: try reader.cursor.skipValue(json, depth: 3)
                }
            }
            settle(item, json)
        } while cursor.take(UInt8(ascii: ","), json)
        try cursor.expect(UInt8(ascii: "]"), json)
    }

    private mutating func members(
        _ json: Span<UInt8>,
        _ value: (inout ResponseReader, Name, Span<UInt8>) throws(JSONCursor.Failure) -> Void
    ) throws(JSONCursor.Failure) {
        try cursor.expect(UInt8(ascii: "{"), json)
        if cursor.take(UInt8(ascii: "}"), json) { return }
        repeat {
            let name = try cursor.string(json)
            try cursor.expect(UInt8(ascii: ":"), json)
            try value(&self, known(name, json), json)
        } while cursor.take(UInt8(ascii: ","), json)
        try cursor.expect(UInt8(ascii: "}"), json)
    }

    private enum Name {
        case records
        case recordID
        case result
        case data
        case other
    }

    private func known(_ name: JSONCursor.RawString, _ json: Span<UInt8>) -> Name {
        if equals(name, "recordId", json) { return .recordID }
        if equals(name, "result", json) { return .result }
        if equals(name, "data", json) { return .data }
        return equals(name, "records", json) ? .records : .other
    }

    private func equals(
        _ raw: JSONCursor.RawString,
        _ word: StaticString,
        _ json: Span<UInt8>
    ) -> Bool {
        let bytes = UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
        if raw.hasEscapes {
            // With escapes, a character takes six bytes at the most.
            return raw.range.count <= 6 * bytes.count
                && cursor.unescaped(raw, json).elementsEqual(bytes)
        }
        guard raw.range.count == bytes.count else { return false }
        for index in 0..<bytes.count where json[raw.range.lowerBound + index] != bytes[index] {
            return false
        }
        return true
    }

    // MARK: One record

    private mutating func settle(_ item: Item, _ json: Span<UInt8>) {
        guard let identifier = item.identifier, let index = index(of: identifier, json) else {
            return
        }
        guard outcomes[index] == nil else {
            outcomes[index] = .failed(
                .duplicatedRecordID,
                message: LambdaError.duplicatedRecordID.message
            )
            return
        }
        outcomes[index] = outcome(item, json)
    }

    private mutating func outcome(
        _ item: Item,
        _ json: Span<UInt8>
    ) -> TransformResponse.Outcome {
        guard let result = item.result else {
            return .failed(.invalidReturnFormat, message: "The result field is missing.")
        }
        if equals(result, "Dropped", json) { return .dropped }
        if equals(result, "ProcessingFailed", json) {
            return .failed(
                .processingFailedStatus,
                message: LambdaError.processingFailedStatus.message
            )
        }
        guard equals(result, "Ok", json) else {
            return .failed(
                .invalidReturnFormat,
                message: "The result field must be Ok, Dropped or ProcessingFailed."
            )
        }
        switch item.data {
        case .decoded(let range): return .ok(range)
        case .malformed:
            return .failed(.invalidReturnFormat, message: "The data field is not valid base64.")
        case .missing:
            return .failed(.invalidReturnFormat, message: LambdaError.invalidReturnFormat.message)
        }
    }

    /// Takes a string and decodes it, in one pass over the bytes where it is plain base64.
    private mutating func decodedString(_ json: Span<UInt8>) throws(JSONCursor.Failure) -> Content {
        try cursor.expect(0x22, json)
        let start = cursor.at
        let (range, consumed) = decode(json.extracting(start..<json.count))
        var end = start + consumed
        while end < json.count, json[end] == UInt8(ascii: "="), end - start - consumed < 2 {
            end += 1
        }
        if end < json.count, json[end] == 0x22 {
            cursor.at = end + 1
            guard (end - start) % 4 == 0 else { return .malformed }
            used = range.upperBound
            return .decoded(range)
        }
        let raw = try cursor.stringBody(json, from: start)
        guard raw.hasEscapes else { return .malformed }
        let text = cursor.unescaped(raw, json)
        let (whole, read) = decode(text.span)
        guard text.count % 4 == 0, text.count - read <= 2,
            text[read...].allSatisfy({ $0 == UInt8(ascii: "=") })
        else { return .malformed }
        used = whole.upperBound
        return .decoded(whole)
    }

    /// Decodes up to the first byte that is not of base64.
    private func decode(_ text: Span<UInt8>) -> (range: Range<Int>, consumed: Int) {
        var consumed = 0
        // The block has room for what is left of the response, in which this stands.
        let written = text.withUnsafeBufferPointer { source in
            hydrant_base64_decode(
                source.baseAddress,
                min(source.count, (space.count - used - 3) / 3 * 4),
                space.baseAddress?.advanced(by: used),
                &consumed
            )
        }
        return (used..<used + written, consumed)
    }

    /// Which record of the event an id is of.
    private mutating func index(of raw: JSONCursor.RawString, _ json: Span<UInt8>) -> Int? {
        if !raw.hasEscapes, expected < event.recordCount {
            let identifier = event.identifier(expected)
            if identifier.count == raw.range.count,
                identifier.elementsEqual(json, in: raw.range)
            {
                expected += 1
                return expected - 1
            }
        }
        if indexes == nil {
            var all: [[UInt8]: Int] = [:]
            all.reserveCapacity(event.recordCount)
            for index in 0..<event.recordCount { all[Array(event.identifier(index))] = index }
            indexes = all
        }
        guard let found = indexes?[cursor.unescaped(raw, json)] else { return nil }
        expected = found + 1
        return found
    }
}

extension UnsafeRawBufferPointer {
    /// Whether it has the same bytes as a range of a span of the same length.
    fileprivate func elementsEqual(_ json: Span<UInt8>, in range: Range<Int>) -> Bool {
        var place = range.lowerBound
        for byte in self {
            if json[place] != byte { return false }
            place += 1
        }
        return true
    }
}
