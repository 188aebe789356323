internal import CKernels
package import Records

/// What a transform is given: one invocation's records, as JSON (developer guide, "Amazon Data
/// Firehose data transformation"; aws-lambda-go, `events/firehose.go`).
package struct TransformEvent: Sendable {
    /// The event on one line, and a newline.
    package private(set) var line: [UInt8]
    /// The records' ids one behind the other, to find them again in the response.
    let identifiers: [UInt8]
    /// Where each id ends in `identifiers`.
    let identifierEnds: [Int]

    /// How many records there are.
    package var recordCount: Int { identifierEnds.count }

    /// The event without the newline.
    package var json: ArraySlice<UInt8> { line.dropLast() }

    private static let head = Array(#"{"invocationId":""#.utf8)

    /// Gives the event another invocation's id, a UUID's 36 characters.
    package mutating func renew(_ invocationID: String) {
        let start = Self.head.count
        line.replaceSubrange(start..<start + 36, with: invocationID.utf8.prefix(36))
    }

    /// The id of a record.
    func identifier(_ index: Int) -> ArraySlice<UInt8> {
        identifiers[(index == 0 ? 0 : identifierEnds[index - 1])..<identifierEnds[index]]
    }

    /// Fills an event's block front to back.
    package struct Builder: ~Copyable {
        private let space: UnsafeMutableRawPointer
        private let capacity: Int
        private var used = 0
        private var identifiers: [UInt8] = []
        private var identifierEnds: [Int] = []

        /// Bytes that a record with an id of `identifierBytes` characters takes at the most.
        package static func recordBytes(data count: Int, identifierBytes: Int) -> Int {
            (count + 2) / 3 * 4 + identifierBytes + 100
        }

        /// Bytes that an event takes beside its records.
        package static func frameBytes(streamARN: String, region: String) -> Int {
            streamARN.utf8.count + region.utf8.count + 150
        }

        /// An event of at most `capacity` bytes.
        package init(invocationID: String, streamARN: String, region: String, capacity: Int) {
            self.capacity = capacity
            space = .allocate(byteCount: capacity, alignment: 16)
            put(TransformEvent.head)
            put(Array(invocationID.utf8))
            put(Array(#"","deliveryStreamArn":""#.utf8))
            put(Array(streamARN.utf8))
            put(Array(#"","region":""#.utf8))
            put(Array(region.utf8))
            put(Array(#"","records":["#.utf8))
        }

        deinit { space.deallocate() }

        /// Adds a record, whose id must need no escapes in JSON.
        package mutating func add(
            _ identifier: [UInt8],
            arrival: Timestamp,
            _ data: UnsafeRawBufferPointer
        ) {
            if !identifierEnds.isEmpty { put(Self.comma) }
            put(Self.idName)
            put(identifier)
            identifiers += identifier
            identifierEnds.append(identifiers.count)
            put(Self.arrivalName)
            put(Array(String(arrival.milliseconds).utf8))
            put(Self.dataName)
            precondition(used + (data.count + 2) / 3 * 4 <= capacity, "the capacity is a promise")
            used += hydrant_base64_encode(
                data.baseAddress?.assumingMemoryBound(to: UInt8.self),
                data.count,
                (space + used).assumingMemoryBound(to: UInt8.self)
            )
            put(Self.end)
        }

        /// The event.
        package consuming func build() -> TransformEvent {
            put(Array("]}\n".utf8))
            return TransformEvent(
                line: [UInt8](UnsafeRawBufferPointer(start: space, count: used)),
                identifiers: identifiers,
                identifierEnds: identifierEnds
            )
        }

        private static let comma = Array(",".utf8)
        private static let idName = Array(#"{"recordId":""#.utf8)
        private static let arrivalName = Array(#"","approximateArrivalTimestamp":"#.utf8)
        private static let dataName = Array(#","data":""#.utf8)
        private static let end = Array(#""}"#.utf8)

        private mutating func put(_ bytes: [UInt8]) {
            precondition(used + bytes.count <= capacity, "the capacity is a promise")
            (space + used).copyMemory(from: bytes, byteCount: bytes.count)
            used += bytes.count
        }
    }
}
