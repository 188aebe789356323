internal import Platform
package import Records

/// What a transform is given: one invocation's records, as JSON (developer guide, "Amazon Data
/// Firehose data transformation"; aws-lambda-go, `events/firehose.go`).
package struct TransformEvent: Sendable {
    /// The beginning of the line, with the invocation's id.
    private let head: [UInt8]
    /// The rest of the line, with its newline.
    private let rest: Block
    /// Where each record's id stands in that, to find it again in the response.
    private let identifiers: [Range<Int>]

    private init(invocationID: String, _ rest: Block, _ identifiers: [Range<Int>]) {
        head = Array(#"{"invocationId":"\#(invocationID)"#.utf8)
        self.rest = rest
        self.identifiers = identifiers
    }

    /// How many records there are.
    package var recordCount: Int { identifiers.count }

    /// Bytes of the event on one line, with its newline.
    var lineBytes: Int { head.count + rest.count }

    /// Gives `body` what follows the first `offset` bytes of the line, in one piece that need not be all
    /// of it.
    func withLine<Result>(
        from offset: Int,
        _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result {
        guard offset < head.count else {
            return body(UnsafeRawBufferPointer(rebasing: rest.bytes[(offset - head.count)...]))
        }
        return head.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[offset...])) }
    }

    /// The same event for another invocation; `id` must need no escapes in JSON.
    package func with(invocationID id: String) -> TransformEvent {
        TransformEvent(invocationID: id, rest, identifiers)
    }

    /// The id of a record; valid as long as the event.
    func identifier(_ index: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: rest.bytes[identifiers[index]])
    }

    /// Fills an event's block front to back.
    package struct Builder: ~Copyable {
        private let invocationID: String
        private var block: Block.Builder
        private var identifiers: [Range<Int>] = []

        /// Bytes that a record with an id of `identifierBytes` characters takes at the most.
        package static func recordBytes(data count: Int, identifierBytes: Int) -> Int {
            Base64.count(ofBytes: count) + identifierBytes + 100
        }

        /// Bytes that an event takes beside its records.
        package static func frameBytes(streamARN: String, region: String) -> Int {
            streamARN.utf8.count + region.utf8.count + 150
        }

        /// An event of at most `capacity` bytes, for an invocation whose id needs no escapes in JSON.
        package init(
            invocationID: String = UUIDText.random(),
            streamARN: String,
            region: String,
            capacity: Int
        ) {
            self.invocationID = invocationID
            block = Block.Builder(capacity: capacity)
            put(#"","deliveryStreamArn":""#)
            put(streamARN)
            put(#"","region":""#)
            put(region)
            put(#"","records":["#)
        }

        /// Adds a record; `identifier` writes its id, which must need no escapes in JSON, and returns
        /// its length.
        package mutating func add(
            arrival: Timestamp,
            _ data: UnsafeRawBufferPointer,
            identifier: (UnsafeMutableRawBufferPointer) -> Int
        ) {
            put(identifiers.isEmpty ? #"{"recordId":""# : #",{"recordId":""#)
            let start = block.count
            block.advance(by: identifier(block.room))
            identifiers.append(start..<block.count)
            put(#"","approximateArrivalTimestamp":"#)
            put(String(arrival.milliseconds))
            put(#","data":""#)
            block.advance(by: Base64.write(data, to: block.room))
            put(#""}"#)
        }

        /// The event.
        package consuming func build() -> TransformEvent {
            put("]}\n")
            return TransformEvent(invocationID: invocationID, block.build(), identifiers)
        }

        private mutating func put(_ text: StaticString) {
            block.append(
                UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
            )
        }

        private mutating func put(_ text: String) {
            var text = text
            text.withUTF8 { block.append(UnsafeRawBufferPointer($0)) }
        }
    }
}
