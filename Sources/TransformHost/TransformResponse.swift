internal import CKernels
internal import Parsing

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
    package private(set) var data: [UInt8] = []

    /// Reads a response.
    ///
    /// A record that is missing, twice there or malformed fails alone; ids that were not asked for are
    /// ignored; a response without `records` misses them all (real AWS, as probed by third parties).
    ///
    /// - Throws: `InvocationFailure` where it is not JSON.
    package init(_ json: [UInt8], to event: TransformEvent) throws(InvocationFailure) {
        var outcomes: [Outcome?] = []
        var failure: JSONCursor.Failure?
        data = [UInt8](unsafeUninitializedCapacity: json.count / 4 * 3 + 3) { space, count in
            var reader = ResponseReader(event, space)
            do throws(JSONCursor.Failure) {
                try reader.read(json.span)
            } catch {
                failure = error
            }
            count = reader.used
            outcomes = reader.outcomes
        }
        if let failure {
            throw InvocationFailure(
                .jsonProcessing,
                "the response is not JSON: \(failure.reason) at byte \(failure.offset)"
            )
        }
        self.outcomes = outcomes.map {
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
    private var indexes: [ArraySlice<UInt8>: Int]?

    init(_ event: TransformEvent, _ space: UnsafeMutableBufferPointer<UInt8>) {
        self.event = event
        self.space = space
        outcomes = Array(repeating: nil, count: event.recordCount)
    }

    /// One item of `records`.
    private struct Item {
        var identifier: JSONCursor.RawString?
        var result: JSONCursor.RawString?
        var data: JSONCursor.RawString?
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
                case .data where isText: item.data = try reader.cursor.string(json)
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
        guard let data = item.data else {
            return .failed(.invalidReturnFormat, message: LambdaError.invalidReturnFormat.message)
        }
        guard let range = decode(data, json) else {
            return .failed(.invalidReturnFormat, message: "The data field is not valid base64.")
        }
        return .ok(range)
    }

    private mutating func decode(_ raw: JSONCursor.RawString, _ json: Span<UInt8>) -> Range<Int>? {
        if raw.hasEscapes { return decode(cursor.unescaped(raw, json).span) }
        return decode(json.extracting(raw.range))
    }

    private mutating func decode(_ text: Span<UInt8>) -> Range<Int>? {
        guard text.count % 4 == 0 else { return nil }
        let start = used
        var consumed = 0
        let written = text.withUnsafeBufferPointer { source in
            hydrant_base64_decode(
                source.baseAddress,
                source.count,
                space.baseAddress?.advanced(by: start),
                &consumed
            )
        }
        let padding = text.count - consumed
        guard padding <= 2, (consumed..<text.count).allSatisfy({ text[$0] == UInt8(ascii: "=") })
        else { return nil }
        used += written
        return start..<used
    }

    /// Which record of the event an id is of.
    private mutating func index(of raw: JSONCursor.RawString, _ json: Span<UInt8>) -> Int? {
        if !raw.hasEscapes, expected < event.recordCount {
            let identifier = event.identifier(expected)
            if identifier.count == raw.range.count,
                identifier.elementsEqualBytes(of: json, raw.range)
            {
                expected += 1
                return expected - 1
            }
        }
        if indexes == nil {
            var all: [ArraySlice<UInt8>: Int] = [:]
            all.reserveCapacity(event.recordCount)
            for index in 0..<event.recordCount { all[event.identifier(index)] = index }
            indexes = all
        }
        guard let found = indexes?[cursor.unescaped(raw, json)[...]] else { return nil }
        expected = found + 1
        return found
    }
}

extension ArraySlice<UInt8> {
    /// Whether it has the same bytes as a range of a span of the same length.
    fileprivate func elementsEqualBytes(of json: Span<UInt8>, _ range: Range<Int>) -> Bool {
        var place = range.lowerBound
        for byte in self {
            if json[place] != byte { return false }
            place += 1
        }
        return true
    }
}
