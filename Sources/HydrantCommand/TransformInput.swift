internal import Foundation
internal import JSON
internal import Platform
internal import Records
internal import Transforms

/// Records for a transform, out of a file.
struct TransformInput {
    /// A record before it is transformed.
    struct Record {
        var identifier: String
        var arrival: Timestamp
        var data: [UInt8]
    }

    /// Records of one invocation.
    struct Batch: Sendable {
        var records: [(identifier: String, bytes: Int)]
        var event: TransformEvent
    }

    /// Why a file is no input.
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    private static let maximumIdentifierBytes = 256
    private let records: [Record]

    /// Reads a file: one JSON object with `records` is an event, anything else is lines.
    init(_ path: String) throws {
        let bytes: [UInt8]
        if path == "-" {
            bytes = [UInt8](FileHandle.standardInput.readDataToEndOfFile())
        } else {
            // To its end: a pipe has no size.
            guard let file = FileHandle(forReadingAtPath: path),
                let content = try? file.readToEnd() ?? Data()
            else {
                let reason = String(cString: strerror(errno))
                throw Failure(description: "the input \(path) cannot be read: \(reason)")
            }
            bytes = [UInt8](content)
        }
        let now = SystemTime().now()
        if let event = try? JSONCursor.value(of: bytes), let items = event["records"]?.array {
            records = try items.map { try Self.record($0, now) }
            let identifiers = Set(records.map { Array($0.identifier.utf8) })
            guard identifiers.count == records.count else {
                throw Failure(description: "a recordId stands twice in the event")
            }
            return
        }
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        records = lines.enumerated().map { number, line in
            Record(identifier: String(number + 1), arrival: now, data: Array(line))
        }
    }

    private static func record(_ item: JSONValue, _ now: Timestamp) throws(Failure) -> Record {
        guard let identifier = item["recordId"]?.string,
            identifier.utf8.count <= maximumIdentifierBytes,
            identifier.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x22 && $0 != 0x5c })
        else {
            throw Failure(description: "a record of the event has no recordId that can be used")
        }
        guard let data = item["data"]?.string.flatMap({ Data(base64Encoded: $0) }) else {
            throw Failure(description: "the data of record \(identifier) is not base64")
        }
        let arrival = item["approximateArrivalTimestamp"]?.integer
        return Record(
            identifier: identifier,
            arrival: arrival.map { Timestamp(milliseconds: Int64($0)) } ?? now,
            data: [UInt8](data)
        )
    }

    /// The records as invocations of a megabyte each, as a stream makes them by default.
    func batches(stream: String) throws(Failure) -> [Batch] {
        let identity = ServiceIdentity(region: "us-east-1", account: "000000000000")
        let arn = identity.arn(ofStream: stream)
        var batches: [Batch] = []
        var rest = records[...]
        while !rest.isEmpty {
            var bytes = 0
            var capacity = TransformEvent.Builder.frameBytes(
                streamARN: arn,
                region: identity.region
            )
            let chosen = rest.prefix { record in
                bytes += record.data.count
                capacity += TransformEvent.Builder.recordBytes(
                    data: record.data.count,
                    identifierBytes: record.identifier.utf8.count
                )
                return bytes <= 1024 * 1024 && capacity <= TransformLimits.maximumRequestBytes
            }
            let taken = chosen.isEmpty ? rest.prefix(1) : chosen
            // The limit holds for one record as well, of which the loop has counted the first.
            guard !chosen.isEmpty || capacity <= TransformLimits.maximumRequestBytes else {
                throw Failure(
                    description: "record \(taken.first?.identifier ?? "") is too large for an event"
                )
            }
            var builder = TransformEvent.Builder(
                streamARN: arn,
                region: identity.region,
                capacity: capacity
            )
            for record in taken {
                record.data.withUnsafeBytes { data in
                    builder.add(arrival: record.arrival, data) { space in
                        space.copyBytes(from: record.identifier.utf8)
                        return record.identifier.utf8.count
                    }
                }
            }
            let shown = taken.map { ($0.identifier, $0.data.count) }
            batches.append(Batch(records: shown, event: builder.build()))
            rest = rest.dropFirst(taken.count)
        }
        return batches
    }
}
