internal import Compression
internal import JSON
package import Records

/// What records became before a program sees them: taken apart, unpacked, extracted.
///
/// In the order of the developer guide: KPL aggregates, gzip, CloudWatch Logs messages, JSON objects or
/// delimited pieces.
package struct Expansion {
    /// Why a record could not be expanded.
    package enum Failure: Sendable, Hashable {
        /// It is not gzip, not JSON inside, or not a CloudWatch Logs document.
        case decompression
        /// It is not a sequence of JSON objects.
        case deaggregation

        /// What AWS calls it; of the second, AWS's name is not known.
        package var code: String {
            switch self {
            case .decompression: "Decompression failed."
            case .deaggregation: "RecordDeAggregation.ParseError"
            }
        }

        /// What AWS says of it; of the second, AWS's words are not known.
        package var message: String {
            switch self {
            case .decompression:
                "Decompression failed because input data does not conform to cloudwatch log."
            case .deaggregation:
                "The record is not a sequence of JSON objects."
            }
        }
    }

    /// One record of what came out.
    package struct Item: Sendable, Hashable {
        /// Its bytes: in `data`, or in what was added where nothing is unpacked.
        package var range: Range<Int>
        /// What is kept of it should it fail later: as it was put, in the same place.
        package var original: Range<Int>
        /// Why it is no record; then `range` is empty.
        package var failure: Failure?
        /// Whether it held no message: then nothing goes on.
        package var isNothing = false
    }

    /// Bytes that one record may unpack to, all its parts together.
    package static let maximumUnpackedBytes = 16 * 1024 * 1024
    /// Records that one record may become; what would go beyond is passed on whole.
    package static let maximumItems = 10_000
    /// Records that one record may hold; of more, it is passed on whole (API model,
    /// RecordDeAggregation).
    package static let maximumPieces = 500

    /// The bytes of all items, where records are unpacked; nothing otherwise.
    package private(set) var data: [UInt8] = []
    /// Bytes that the items take, wherever they are.
    package private(set) var usedBytes = 0
    /// What came out, in order.
    package private(set) var items: [Item] = []

    private let processing: Processing
    /// What the record that is being added may still become.
    private var unpackedBytesLeft = 0
    private var itemsLeft = 0

    /// Expands as a stream's processing says.
    package init(_ processing: Processing) { self.processing = processing }

    /// Takes one record, a range of `bytes`; what comes of it is appended.
    package mutating func add(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) {
        let before = data.count
        unpackedBytesLeft = Self.maximumUnpackedBytes
        itemsLeft = Self.maximumItems
        let record = UnsafeRawBufferPointer(rebasing: bytes[range])
        if let aggregate = KPLAggregate(record), aggregate.records.count <= itemsLeft {
            itemsLeft -= aggregate.records.count
            for part in aggregate.records {
                let start = range.lowerBound
                addPart(bytes, start + part.lowerBound..<start + part.upperBound)
            }
        } else {
            addPart(bytes, range)
        }
        usedBytes += processing.unpacksRecords ? data.count - before : range.count
    }

    private mutating func addPart(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) {
        guard processing.unpacksRecords else {
            return items.append(Item(range: range, original: range))
        }
        let record = UnsafeRawBufferPointer(rebasing: bytes[range])
        let original = append(record)
        guard processing.decompresses else {
            return addPieces(of: original, original: original)
        }
        do throws(Gunzip.Failure) {
            let document = try Gunzip.unpack(record, maximumBytes: unpackedBytesLeft)
            unpackedBytesLeft -= document.count
            guard let range = appendContent(of: document) else {
                return fail(.decompression, original)
            }
            addPieces(of: range, original: original)
        } catch {
            fail(.decompression, original)
        }
    }

    private mutating func fail(_ failure: Failure, _ original: Range<Int>) {
        let nothing = data.count..<data.count
        items.append(Item(range: nothing, original: original, failure: failure))
    }

    private mutating func append(_ bytes: UnsafeRawBufferPointer) -> Range<Int> {
        let start = data.count
        data.append(contentsOf: bytes)
        return start..<data.count
    }

    /// Appends an unpacked document, or its messages; nil where it is not what it should be.
    private mutating func appendContent(of document: [UInt8]) -> Range<Int>? {
        let start = data.count
        do throws(JSONCursor.Failure) {
            if processing.extractsMessages {
                guard try LogMessages.append(of: document.span, to: &data) else { return nil }
            } else {
                var cursor = JSONCursor(maximumDepth: Limits.maximumJSONDepth)
                try cursor.skipValue(document.span)
                try cursor.expectEnd(document.span)
                data += document
            }
            return start..<data.count
        } catch {
            data.removeLast(data.count - start)
            return nil
        }
    }

    private mutating func addPieces(of range: Range<Int>, original: Range<Int>) {
        // A control message, or a document without messages: neither a record nor a failure.
        if processing.extractsMessages, range.isEmpty {
            return items.append(Item(range: range, original: original, isNothing: true))
        }
        let pieces: [Range<Int>]?
        switch processing.deaggregation {
        case nil: pieces = nil
        case .json:
            guard let objects = Self.objects(in: data.span, range) else {
                // What it was before this step: a document's text, not its compressed form.
                return fail(.deaggregation, range)
            }
            pieces = objects
        case .delimited(let delimiter): pieces = Self.pieces(of: data, range, delimiter)
        }
        guard let pieces, pieces.count <= min(Self.maximumPieces, itemsLeft + 1) else {
            return items.append(Item(range: range, original: original))
        }
        // The part itself is counted already.
        itemsLeft -= pieces.count - 1
        for piece in pieces { items.append(Item(range: piece, original: piece)) }
    }

    /// The JSON objects in a range; nil where there is anything else, or nothing.
    ///
    /// Beyond the maximum, the rest is not looked at.
    private static func objects(in data: Span<UInt8>, _ range: Range<Int>) -> [Range<Int>]? {
        let json = data.extracting(range)
        var cursor = JSONCursor(maximumDepth: Limits.maximumJSONDepth)
        var objects: [Range<Int>] = []
        do throws(JSONCursor.Failure) {
            while cursor.peek(json) == UInt8(ascii: "{"), objects.count <= maximumPieces {
                let start = cursor.at
                try cursor.skipValue(json)
                objects.append(range.lowerBound + start..<range.lowerBound + cursor.at)
            }
            if objects.count <= maximumPieces { try cursor.expectEnd(json) }
        } catch {
            return nil
        }
        return objects.isEmpty ? nil : objects
    }

    /// The pieces between delimiters; what is behind the last one counts where it is not empty.
    private static func pieces(
        of data: [UInt8],
        _ range: Range<Int>,
        _ delimiter: [UInt8]
    ) -> [Range<Int>] {
        var pieces: [Range<Int>] = []
        var start = range.lowerBound
        data.withUnsafeBufferPointer { data in
            var place = start
            while place + delimiter.count <= range.upperBound, pieces.count <= maximumPieces {
                guard data[place] == delimiter[0],
                    data[place..<place + delimiter.count].elementsEqual(delimiter)
                else {
                    place += 1
                    continue
                }
                pieces.append(start..<place)
                place += delimiter.count
                start = place
            }
        }
        if start < range.upperBound || pieces.isEmpty { pieces.append(start..<range.upperBound) }
        return pieces
    }
}
