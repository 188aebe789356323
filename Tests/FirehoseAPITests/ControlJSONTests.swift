import Foundation
import JSON
import Records
import TestSupport
import Testing

@testable import FirehoseAPI

@Suite struct ControlJSONTests {
    private static let factor =
        Int(ProcessInfo.processInfo.environment["HYDRANT_FUZZ_ROUNDS"] ?? "1") ?? 1

    private static let document = #"""
        {"DeliveryStreamName": "s", "DirectPutSourceConfiguration": {"ThroughputHintInMBs": 1.0e1},
        "Tags": [{"Key": "a\u00e9\ud83d\ude00", "Value": "b\"\\\/\b\f\n\r\t"}, {"Key": "c"}],
        "ExtendedS3DestinationConfiguration": {"RoleARN": "arn:aws:iam::1:role/r", "Prefix": "é",
        "BucketARN": "arn:aws:s3:::b", "BufferingHints": {"SizeInMBs": -0, "IntervalInSeconds": 9e99},
        "DataFormatConversionConfiguration": {"Enabled": false, "OutputFormatConfiguration":
        {"Serializer": {"OrcSerDe": {"PaddingTolerance": 0.25, "BloomFilterColumns": ["x", "y"]}}},
        "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {"ColumnToJsonKeyMappings":
        {"p": "q", "r": "s"}}}}}, "ProcessingConfiguration": {"Enabled": true, "Processors":
        [{"Type": "Lambda", "Parameters": [{"ParameterName": "LambdaArn", "ParameterValue": "f"}]}]},
        "Unknown": [null, true, [], {}, 12345678901234567890]}}
        """#

    private func mutated(_ generator: inout SeededGenerator) -> [UInt8] {
        var bytes = Array(Self.document.utf8)
        for _ in 0..<Int.random(in: 0...3, using: &generator) {
            let place = Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: bytes[place] = UInt8.random(in: .min ... .max, using: &generator)
            case 1: bytes.remove(at: place)
            case 2:
                let pieces = [
                    "{", "}", "[", "]", ",", ":", "\"", "0", "-", "e", "null", "\\u12", ".",
                ]
                bytes.insert(
                    contentsOf: Array((pieces.randomElement(using: &generator) ?? "").utf8),
                    at: place
                )
            default:
                let end = min(bytes.count, place + Int.random(in: 1...60, using: &generator))
                bytes.removeSubrange(place..<end)
            }
        }
        return bytes
    }

    @Test func `what is read is what Foundation reads, and nothing that it refuses`() {
        var generator = SeededGenerator(seed: 99)
        var both = 0
        var checked = 0
        let rounds = 8_000 * Self.factor
        for _ in 0..<rounds {
            let body = mutated(&generator)
            let ours = Result { () throws(JSONCursor.Failure) in
                try JSONCursor.value(of: body, maximumDepth: 32)
            }
            guard case .success(let value) = ours else { continue }
            let theirs = try? JSONDecoder().decode(JSONValue.self, from: Data(body))
            // Foundation keeps whole numbers beyond 2^53 exact where they are written as fractions.
            let text = String(decoding: body, as: UTF8.self)
            #expect(value == theirs || text.contains(#/\d{16,}[.eE]/#), "\(text)")
            both += 1
            // Whatever it is, the shape says what is wrong with it.
            let shape = Shape.createDeliveryStream
            guard let known = try? shape.decode(value) else { continue }
            var problems = ConstraintViolations()
            shape.check(known, isStrict: true, &problems)
            checked += 1
        }
        print(
            "control bodies: \(rounds) compared with Foundation, \(both) accepted by both, "
                + "\(checked) held against their shape"
        )
    }

    @Test func `members that stand twice, depth and huge numbers are refused`() {
        let nested = String(repeating: "[", count: 40) + String(repeating: "]", count: 40)
        for text in [#"{"a":1,"a":2}"#, #"{"a":1,"\u0061":2}"#, nested, "1e400", "{} {}", ""] {
            #expect(throws: JSONCursor.Failure.self, "\(text)") {
                try JSONCursor.value(of: Array(text.utf8), maximumDepth: 32)
            }
        }
        let name = String(repeating: "x", count: 5000)
        #expect(throws: JSONCursor.Failure.self) {
            try JSONCursor.value(of: Array(#"{"\#(name)":1}"#.utf8), maximumDepth: 32)
        }
    }

    @Test func `texts that look the same are not the same`() {
        let composed = JSONValue.string("caf\u{e9}")
        let decomposed = JSONValue.string("cafe\u{301}")
        #expect(composed != decomposed)
        #expect(DeliveryStream.Tag(key: "\u{e9}", value: nil) != .init(key: "e\u{301}", value: nil))
    }
}
