internal import Foundation
internal import Glibc
internal import JSON
internal import Records

/// The body of a `_bulk` request: two lines for each document.
///
/// Source: OpenSearch documentation, "Bulk", "Request body".
struct BulkBody {
    /// What stands in the action lines of one index, around the document's id.
    struct Action: Sendable {
        var index: String
        var isCreate: Bool
        var before: [UInt8]
        var after: [UInt8]

        init(index: String, type: String, isCreate: Bool, hasIdentifier: Bool) {
            self.index = index
            self.isCreate = isCreate
            var text = "{\"\(isCreate ? "create" : "index")\":{\"_index\":\(JSONText.quoted(index))"
            if !type.isEmpty { text += ",\"_type\":\(JSONText.quoted(type))" }
            if hasIdentifier { text += ",\"_id\":\"" }
            before = Array(text.utf8)
            after = Array((hasIdentifier ? "\"}}\n" : "}}\n").utf8)
        }
    }

    /// Bytes that a body takes, at the most.
    static func maximumBytes(_ records: DeliveryRecords, _ items: [Int], _ action: Int) -> Int {
        items.reduce(0) { sum, item in
            sum + records.items[item].range.count + action + DeliveryRecords.identifierBytes + 1
        }
    }

    /// The body for some of the records; `actions` has one for each of `items`.
    static func make(
        _ records: DeliveryRecords,
        _ items: [Int],
        _ actions: [Action],
        hasIdentifiers: Bool
    ) -> [UInt8] {
        let longest = actions.map { $0.before.count + $0.after.count }.max() ?? 0
        let capacity = maximumBytes(records, items, longest)
        return [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            let space = UnsafeMutableRawBufferPointer(buffer)
            func rest() -> UnsafeMutableRawBufferPointer {
                UnsafeMutableRawBufferPointer(rebasing: space[count...])
            }
            for (place, action) in zip(items, actions) {
                let item = records.items[place]
                rest().copyBytes(from: action.before)
                count += action.before.count
                if hasIdentifiers {
                    records.writeIdentifier(of: item, to: rest())
                    count += DeliveryRecords.identifierBytes
                }
                rest().copyBytes(from: action.after)
                count += action.after.count
                count += copyLine(records.data(of: item), to: rest())
            }
        }
    }

    /// Writes a document, which is one JSON value, as one line, and says how long that is.
    ///
    /// Line feeds in JSON stand between tokens alone, where a space says the same.
    private static func copyLine(
        _ document: UnsafeRawBufferPointer,
        to space: UnsafeMutableRawBufferPointer
    ) -> Int {
        var end = document.count
        while end > 0, [0x20, 0x09, 0x0a, 0x0d].contains(document[end - 1]) { end -= 1 }
        let text = UnsafeRawBufferPointer(rebasing: document[..<end])
        space.copyMemory(from: text)
        if let start = space.baseAddress {
            var next = start
            while let found = memchr(next, 0x0a, start + end - next) {
                found.storeBytes(of: 0x20, as: UInt8.self)
                next = found + 1
            }
        }
        space[end] = 0x0a
        return end + 1
    }
}
