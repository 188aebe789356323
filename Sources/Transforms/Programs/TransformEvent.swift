package import Platform
package import Records

/// What a transform is given: one invocation's records, as JSON (developer guide, "Amazon Data
/// Firehose data transformation"; aws-lambda-go, `events/firehose.go`).
package struct TransformEvent: Sendable {
    /// The event on one line, and a newline.
    package let line: Block
    /// Where each record's id stands in it, to find it again in the response.
    private let identifiers: [Range<Int>]

    /// How many records there are.
    package var recordCount: Int { identifiers.count }

    /// The event without the newline.
    package var json: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: line.bytes.dropLast())
    }

    private static let head: StaticString = #"{"invocationId":""#

    /// Gives the event another invocation's id, a UUID's 36 characters; nobody may be reading it.
    package func renew(_ invocationID: String) {
        let start = Self.head.utf8CodeUnitCount
        UnsafeMutableRawBufferPointer(rebasing: line.space[start..<start + 36])
            .copyBytes(from: invocationID.utf8.prefix(36))
    }

    /// The id of a record; valid as long as the event.
    func identifier(_ index: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: line.bytes[identifiers[index]])
    }

    /// Fills an event's block front to back.
    package struct Builder: ~Copyable {
        private let block: Block
        private let space: UnsafeMutableRawPointer
        private let capacity: Int
        private var used = 0
        private var identifiers: [Range<Int>] = []

        /// Bytes that a record with an id of `identifierBytes` characters takes at the most.
        package static func recordBytes(data count: Int, identifierBytes: Int) -> Int {
            Base64.count(ofBytes: count) + identifierBytes + 100
        }

        /// Bytes that an event takes beside its records.
        package static func frameBytes(streamARN: String, region: String) -> Int {
            streamARN.utf8.count + region.utf8.count + 150
        }

        /// An event of at most `capacity` bytes.
        package init(invocationID: String, streamARN: String, region: String, capacity: Int) {
            self.capacity = capacity
            block = Block(capacity: capacity)
            guard let base = block.space.baseAddress else {
                preconditionFailure("a block has an address")
            }
            space = base
            put(TransformEvent.head)
            put(invocationID)
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
            let count = identifier(
                UnsafeMutableRawBufferPointer(start: space + used, count: capacity - used)
            )
            identifiers.append(used..<used + count)
            used += count
            put(#"","approximateArrivalTimestamp":"#)
            put(String(arrival.milliseconds))
            put(#","data":""#)
            used += Base64.write(
                data,
                to: UnsafeMutableRawBufferPointer(start: space + used, count: capacity - used)
            )
            put(#""}"#)
        }

        /// The event.
        package consuming func build() -> TransformEvent {
            put("]}\n")
            block.count = used
            return TransformEvent(line: block, identifiers: identifiers)
        }

        private mutating func put(_ text: StaticString) {
            put(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
        }

        private mutating func put(_ text: String) {
            var text = text
            text.withUTF8 { put(UnsafeRawBufferPointer($0)) }
        }

        private mutating func put(_ bytes: UnsafeRawBufferPointer) {
            precondition(used + bytes.count <= capacity, "the capacity is a promise")
            UnsafeMutableRawBufferPointer(start: space + used, count: bytes.count)
                .copyMemory(from: bytes)
            used += bytes.count
        }
    }
}
