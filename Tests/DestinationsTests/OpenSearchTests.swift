import Foundation
import Platform
import Records
import TestSupport
import Testing

@testable import Destinations

@Suite struct OpenSearchTests {
    private func moment(_ text: String) throws -> Timestamp {
        try #require(Timestamp(basicDateTime: text))
    }

    @Test(
        arguments: [
            (IndexRotation.noRotation, ""), (.oneHour, "-2016-02-25-13"), (.oneDay, "-2016-02-25"),
            (.oneMonth, "-2016-02"),
        ]
    )
    func `an index is named after the arrival`(rotation: IndexRotation, suffix: String) throws {
        #expect(try rotation.suffix(at: moment("20160225T130000Z")) == suffix)
    }

    @Test(
        arguments: [
            // The first Saturday of 2016 is January 2, of 2017 January 7, of 2022 January 1.
            ("20151226T235959Z", "-2015-w52"), ("20151227T000000Z", "-2016-w01"),
            ("20160102T235959Z", "-2016-w01"), ("20160103T000000Z", "-2016-w02"),
            ("20161231T120000Z", "-2016-w53"), ("20170101T000000Z", "-2017-w01"),
            ("20211231T000000Z", "-2022-w01"), ("20220102T000000Z", "-2022-w02"),
        ]
    )
    func `a week begins on Sunday, and the first contains the year's first Saturday`(
        time: String,
        suffix: String
    ) throws {
        #expect(try IndexRotation.oneWeek.suffix(at: moment(time)) == suffix)
    }

    // MARK: Answers

    private func read(_ text: String, items: Int, pieces: Int = 5) -> BulkResponseReader.Content {
        let reader = BulkResponseReader(items: items)
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: pieces) {
            let piece = bytes[start..<min(bytes.count, start + pieces)]
            guard piece.withUnsafeBytes({ reader.receive($0) }) else { break }
        }
        return reader.finish()
    }

    @Test func `an answer says what became of each item`() {
        let content = read(
            #"""
            {"took": 1, "errors": true, "items": [
              {"index": {"_index": "i", "_id": "1", "status": 201, "_shards": {"status": 9}}},
              {"create": {"status": 400, "error": {"type": "t", "reason": "r",
                "caused_by": {"type": "deeper", "reason": "deeper"}}}},
              {"index": {"error": "old", "status": 503}}]}
            """#,
            items: 3
        )
        #expect(content.problem == nil)
        #expect(
            content.items == [
                .init(status: 201, reason: ""), .init(status: 400, reason: "t: r"),
                .init(status: 503, reason: "old"),
            ]
        )
    }

    @Test(
        arguments: [
            "", "<html>", "{}", "[]", #"{"items":[]}"#, #"{"items":[{"index":{"status":201}}]}"#,
            #"{"items":[{"index":{"status":201}},{"index":{"status":201}},{"index":{"status":201}}]}"#,
            #"{"items":[{"index":{}},{"index":{"status":201}}]}"#,
            #"{"items":[{"index":{"status":201}},{"index":{"status":2}}]}"#,
            #"{"items":[{"index":{"status":201}},{"index":{"status":201}}]"#,
        ]
    )
    func `an answer that is none is told from one`(text: String) {
        #expect(read(text, items: 2).problem != nil)
    }

    @Test func `nonsense is read on for a while, for its status, and no longer`() {
        let reader = BulkResponseReader(items: 1)
        let page = [UInt8](repeating: UInt8(ascii: "<"), count: 64 * 1024)
        var pages = 0
        while pages < 1000, page.withUnsafeBytes({ reader.receive($0) }) { pages += 1 }
        #expect(pages > 1 && pages < 100)
        #expect(reader.finish().excerpt.count == 300)
    }

    @Test func `an error's type is told from its reason`() {
        let content = read(
            #"""
            {"items": [
              {"index": {"status": 400, "error": {"type": "illegal_argument_exception", "reason": "r"}}},
              {"index": {"status": 400, "error": {"type": "t", "reason": "illegal_argument_exception"}}},
              {"index": {"status": 400, "error": "illegal_argument_exception"}}]}
            """#,
            items: 3
        )
        #expect(content.items.map(\.isIllegalArgument) == [true, false, false])
        #expect(content.items[0].reason == "illegal_argument_exception: r")
    }

    // MARK: Data streams

    private func action(_ index: String, isCreate: Bool) -> BulkBody.Action {
        BulkBody.Action(index: index, type: "", isCreate: isCreate, hasIdentifier: true)
    }

    private let taken = BulkResponseReader.Item(status: 201, reason: "")
    private let illegal = BulkResponseReader.Item(
        status: 400,
        reason: "r",
        isIllegalArgument: true
    )

    @Test func `what a data stream rejects is sent as create, and so is what follows`() {
        var streams = DataStreams()
        let other = BulkResponseReader.Item(status: 400, reason: "mapping")
        let indexes = [action("a", isCreate: false), action("b", isCreate: false)]
        #expect(streams.learn(from: [taken, other], to: indexes) == [])
        #expect(!streams.contains("a"))
        #expect(streams.learn(from: [illegal, taken], to: indexes) == [0])
        #expect(streams.contains("a"))
        #expect(!streams.contains("b"))
        let create = action("a", isCreate: true)
        #expect(streams.learn(from: [taken, illegal], to: [create, create]) == [])
        #expect(streams.contains("a"))
    }

    @Test func `an index that rejects create as well is none`() {
        var streams = DataStreams()
        #expect(streams.learn(from: [illegal], to: [action("a", isCreate: false)]) == [0])
        #expect(streams.learn(from: [illegal], to: [action("a", isCreate: true)]) == [])
        #expect(!streams.contains("a"))
    }

    // MARK: Bodies

    private func records(_ texts: [String]) -> DeliveryRecords {
        let block = Block(Array(texts.joined().utf8))
        var items: [DeliveryRecords.Item] = []
        var start = 0
        for (number, text) in texts.enumerated() {
            items.append(
                .init(
                    range: start..<start + text.utf8.count,
                    arrival: Timestamp(milliseconds: 0),
                    number: RecordNumber(UInt64(number)),
                    generation: 0xfeed
                )
            )
            start += text.utf8.count
        }
        return DeliveryRecords(block: block, items: items)
    }

    @Test func `documents are lines behind their actions`() {
        let records = records(["{\"a\":1}\n", "{\n \"b\" : 2\n}", "{}"])
        let action = BulkBody.Action(
            index: "in\"dex",
            type: "t",
            isCreate: false,
            hasIdentifier: true
        )
        let body = BulkBody.make(records, [0, 1], [action, action], hasIdentifiers: true)
        #expect(
            String(decoding: body, as: UTF8.self) == #"""
                {"index":{"_index":"in\"dex","_type":"t","_id":"000000000000feed0000000000000000"}}
                {"a":1}
                {"index":{"_index":"in\"dex","_type":"t","_id":"000000000000feed0000000000000001"}}
                {  "b" : 2 }

                """#
        )
        let plain = BulkBody.Action(index: "i", type: "", isCreate: true, hasIdentifier: false)
        let second = BulkBody.make(records, [2], [plain], hasIdentifiers: false)
        #expect(
            String(decoding: second, as: UTF8.self) == "{\"create\":{\"_index\":\"i\"}}\n{}\n"
        )
    }
}
