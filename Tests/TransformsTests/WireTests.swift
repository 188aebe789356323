import Foundation
import Platform
import Records
import TestSupport
import Testing

@testable import Transforms

@Suite struct WireTests {
    private let ids = ["0001", "0002", "0003"]

    private func event(_ records: [[UInt8]]) -> TransformEvent {
        var builder = TransformEvent.Builder(
            invocationID: "11111111-1111-1111-1111-111111111111",
            streamARN: "arn:aws:firehose:us-east-1:000000000000:deliverystream/s",
            region: "us-east-1",
            capacity: records.reduce(1000) {
                $0 + TransformEvent.Builder.recordBytes(data: $1.count, identifierBytes: 4)
            }
        )
        for (index, record) in records.enumerated() {
            record.withUnsafeBytes { data in
                builder.add(arrival: Timestamp(milliseconds: 1_783_951_506_789), data) { space in
                    space.copyBytes(from: ids[index].utf8)
                    return 4
                }
            }
        }
        return builder.build()
    }

    private func read(_ text: String) throws -> TransformResponse {
        try TransformResponse(Block(Array(text.utf8)), to: event([[1], [2], [3]]))
    }

    /// Short words for outcomes.
    private func outcomes(_ text: String) throws -> [String] {
        let response = try read(text)
        return response.outcomes.map { outcome in
            switch outcome {
            case .ok(let range): String(decoding: response.data.bytes[range], as: UTF8.self)
            case .dropped: "dropped"
            case .failed(let error, _): String(error.rawValue.dropFirst("Lambda.".count))
            }
        }
    }

    @Test func `an event is one line of JSON in AWS's words`() throws {
        let event = event([[], [0, 255], Array("abc".utf8)])
            .with(invocationID: "22222222-2222-2222-2222-222222222222")
        var line: [UInt8] = []
        while line.count < event.lineBytes { event.withLine(from: line.count) { line += $0 } }
        #expect(line.count == event.lineBytes)
        #expect(line.last == UInt8(ascii: "\n"))
        #expect(line.filter { $0 == UInt8(ascii: "\n") }.count == 1)
        let json = try JSONSerialization.jsonObject(with: Data(line))
        let expected: [String: Any] = [
            "invocationId": "22222222-2222-2222-2222-222222222222",
            "deliveryStreamArn": "arn:aws:firehose:us-east-1:000000000000:deliverystream/s",
            "region": "us-east-1",
            "records": zip(ids, ["", "AP8=", "YWJj"]).map { id, data in
                [
                    "recordId": id, "approximateArrivalTimestamp": 1_783_951_506_789, "data": data,
                ] as [String: Any]
            },
        ]
        #expect(json as? NSDictionary == expected as NSDictionary)
    }

    @Test func `each record has its own fate`() throws {
        #expect(
            try outcomes(
                #"""
                {"records":[{"recordId":"0003","result":"Ok","data":"Yw=="},
                {"recordId":"0001","result":"Dropped"},
                {"data":"\u0059g\u003d=","result":"\u004fk","metadata":{"a":[1]},"recordId":"0002"}]}
                """#
            ) == ["dropped", "b", "c"]
        )
        #expect(
            try outcomes(
                #"""
                {"x":{"records":[]},"records":[{"recordId":"0001","result":"ProcessingFailed","data":"!"},
                {"recordId":"0002","result":"Ok","data":"YQ="},{"recordId":"0009","result":"Ok"},7,{}]}
                """#
            ) == ["ProcessingFailedStatus", "InvalidReturnFormat", "MissingRecordId"]
        )
        #expect(
            try outcomes(
                #"""
                {"records":[{"recordId":"0001","result":"Ok","data":null},
                {"recordId":"0002","result":"ok","data":""},{"recordId":"0003","data":""}]}
                """#
            ) == Array(repeating: "InvalidReturnFormat", count: 3)
        )
        #expect(
            try outcomes(
                #"""
                {"records":[{"recordId":"0001","result":"Ok","data":"YQ=="},
                {"recordId":"0001","result":"Dropped"},{"recordId":"0002","result":"Ok","data":""},
                {"recordId":"0001","result":"Ok","data":"YQ=="}]}
                """#
            ) == ["DuplicatedRecordId", "", "MissingRecordId"]
        )
    }

    @Test func `a response without records misses them all, and one that is not JSON is none`()
        throws
    {
        for text in ["{}", "null", "[]", "\"x\"", #"{"records":null}"#, #"{"records":{}}"#, " {} "]
        {
            #expect(try outcomes(text) == Array(repeating: "MissingRecordId", count: 3))
        }
        let deep = String(repeating: "[", count: 100_000)
        for text in ["", "{", "{}x", "{}{}", "{\"records\":[}", "{\"records\":[{]}", deep, "\0"] {
            #expect(throws: InvocationFailure.self) { try outcomes(text) }
        }
    }

    @Test func `base64 is read as strictly as everywhere`() throws {
        func outcome(of data: String) throws -> String {
            try outcomes(#"{"records":[{"recordId":"0001","result":"Ok","data":"\#(data)"}]}"#)[0]
        }
        #expect(try outcome(of: "") == "")
        #expect(try outcome(of: "YWJj") == "abc")
        #expect(try outcome(of: "YWI=") == "ab")
        for bad in ["Y", "YW", "YWI", "YW=I", "====", "Y===", "YWJj=", "YWJj\\n", "YW Jj", "Y-_="] {
            #expect(try outcome(of: bad) == "InvalidReturnFormat", "\(bad)")
        }
    }

    @Test func `whatever a transform answers, each record has one outcome`() throws {
        let good = Array(
            #"""
            {"records":[{"recordId":"0001","result":"Ok","data":"YWJj"},{"recordId":"0002","result":
            "Dropped","data":""},{"recordId":"0003","result":"Ok","data":"\u0059WI=","metadata":{}}]}
            """#.utf8
        )
        let event = event([[1], [2], [3]])
        var generator = SeededGenerator(seed: 82)
        var readable = 0
        for _ in 0..<300_000 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let place = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes.remove(at: place)
                default: bytes.insert(bytes[place], at: place)
                }
            }
            guard let response = try? TransformResponse(Block(bytes), to: event) else { continue }
            readable += 1
            #expect(response.outcomes.count == 3)
            for case .ok(let range) in response.outcomes {
                #expect(range.upperBound <= response.data.count)
            }
        }
        #expect(readable > 1000)
    }
}
