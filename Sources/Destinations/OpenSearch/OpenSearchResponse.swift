internal import Egress
internal import Foundation
internal import JSON
internal import Synchronization

/// Reads the answer to a `_bulk` request while it comes: what became of each item, in order.
///
/// Source: OpenSearch documentation, "Bulk", "Response".
final class BulkResponseReader: ResponseReader {
    /// What became of an item.
    struct Item: Equatable {
        var status: Int
        /// Empty where there is no error.
        var reason: String
        /// Whether the error is of the type `illegal_argument_exception`.
        var isIllegalArgument = false
    }

    /// What was read.
    struct Content {
        var items: [Item] = []
        /// Why the answer is not one to a `_bulk` request of so many items.
        var problem: String?
        /// The beginning of it, for whoever must find out what it is.
        var excerpt: [UInt8] = []
    }

    private static let illegalArgument = "illegal_argument_exception"
    private static let maximumTextBytes = 500
    /// Reasons beyond so many bytes together are left out.
    private static let maximumReasonBytes = 4 * 1024 * 1024
    private static let maximumExcerptBytes = 300
    private static let maximumIgnoredBytes = 1024 * 1024

    fileprivate struct State {
        var stream = JSONStream(maximumTextBytes: BulkResponseReader.maximumTextBytes)
        var content = Content()
        /// Names on the way to where it reads; nil for an array's items.
        var path: [String?] = []
        var name: String?
        var item = Item(status: 0, reason: "")
        var type = ""
        var reasonBytes = 0
        var ignoredBytes = 0
    }
    private let state = Mutex(State())
    private let expected: Int

    /// A reader of an answer to so many items.
    init(items: Int) { expected = items }

    func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
        state.withLock { state in
            let room = Self.maximumExcerptBytes - state.content.excerpt.count
            state.content.excerpt += bytes.prefix(max(0, room))
            // What is no answer at all is not read on, but not made an error of the connection.
            guard state.content.problem == nil else {
                state.ignoredBytes += bytes.count
                return state.ignoredBytes < Self.maximumIgnoredBytes
            }
            do {
                var stream = state.stream
                try stream.push(bytes) { try take($0, &state) }
                state.stream = stream
            } catch {
                state.content.problem = "\(error)"
            }
            return true
        }
    }

    /// What was read; call once, when the answer is over.
    func finish() -> Content {
        state.withLock { state in
            guard state.content.problem == nil else { return state.content }
            do {
                var stream = state.stream
                try stream.finish { try take($0, &state) }
            } catch {
                state.content.problem = "\(error)"
            }
            if state.content.problem == nil, state.content.items.count != expected {
                state.content.problem =
                    "\(state.content.items.count) items in answer to \(expected)"
            }
            return state.content
        }
    }

    private struct Nonsense: Error, CustomStringConvertible {
        var description: String
    }

    private func take(_ event: JSONStream.Event, _ state: inout State) throws {
        switch event {
        case .name(let name):
            state.name = String(decoding: name, as: UTF8.self)
            return
        case .beginObject, .beginArray:
            state.path.append(state.name)
            // {"items": [{"index": {
            if state.path.count == 4 { state.item = Item(status: 0, reason: "") }
        case .endObject, .endArray:
            if state.isItem { try endItem(&state) }
            state.path.removeLast()
        case .number(let text):
            guard state.isItem, state.name == "status" else { break }
            state.item.status = Int(String(decoding: text, as: UTF8.self)) ?? 0
        case .string(let text):
            let text = String(decoding: text, as: UTF8.self)
            if state.isItem, state.name == "error" {
                state.item.reason = text  // before version 5 of Elasticsearch
            } else if state.isError {
                if state.name == "type" { state.type = text }
                if state.name == "reason" { state.item.reason = text }
            }
        case .boolean, .null: break
        }
        state.name = nil
    }

    private func endItem(_ state: inout State) throws {
        guard state.content.items.count < expected else {
            throw Nonsense(description: "more items than were sent")
        }
        guard (100...599).contains(state.item.status) else {
            throw Nonsense(description: "an item without a status")
        }
        state.item.isIllegalArgument = state.type == Self.illegalArgument
        if !state.type.isEmpty { state.item.reason = "\(state.type): \(state.item.reason)" }
        state.type = ""
        state.reasonBytes += state.item.reason.utf8.count
        if state.reasonBytes > Self.maximumReasonBytes { state.item.reason = "" }
        state.content.items.append(state.item)
    }
}

extension BulkResponseReader.State {
    /// In `{"items": [{"index": {`.
    fileprivate var isItem: Bool { path.count == 4 && path[1] == "items" }
    /// In an item's `"error": {`.
    fileprivate var isError: Bool { path.count == 5 && path[1] == "items" && path[4] == "error" }
}
