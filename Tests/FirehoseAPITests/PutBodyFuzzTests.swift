import FirehoseAPI
import Foundation
import Records
import TestSupport
import Testing

/// Seeded mutations of put bodies.
///
/// `HYDRANT_FUZZ_ROUNDS` multiplies their number.
@Suite struct PutBodyFuzzTests {
    /// The same shape, for Foundation's decoder.
    private struct Body: Decodable {
        struct Entry: Decodable {
            var data: Data?
            enum CodingKeys: String, CodingKey { case data = "Data" }
        }
        var name: String?
        var records: [Entry?]?
        enum CodingKeys: String, CodingKey {
            case name = "DeliveryStreamName"
            case records = "Records"
        }
    }

    private static let factor =
        Int(ProcessInfo.processInfo.environment["HYDRANT_FUZZ_ROUNDS"] ?? "") ?? 1

    private static let seeds: [[UInt8]] = [
        #"{"DeliveryStreamName":"stream-1","Records":[{"Data":"aGVsbG8gd29ybGQ="},{"Data":""}]}"#,
        #"{"Records":[{"Data":"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJz"}],"#
            + #" "DeliveryStreamName" : "x.y"}"#,
        #"{"DeliveryStreamName":"s","Records":[{"Data":"\/\/79\u002f+8=","X":[1,{"a":null}]}]}"#,
        "{\"DeliveryStreamName\":\"s\",\n\t\"Extra\":[true,false,-1.5e+3,\"\\ud83d\\ude00ü\"],"
            + "\"Records\":[{\"Data\":\"QQ==\"},{\"Data\":\"QUI=\"},{\"Data\":\"QUJD\"}]}",
    ].map { Array($0.utf8) }

    private func mutated(_ generator: inout SeededGenerator) -> [UInt8] {
        var bytes = Self.seeds.randomElement(using: &generator) ?? []
        let tokens = ["\"", "\\", "{", "}", "[", "]", ",", ":", "=", "null", "\\u0041", "A", "é"]
        for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
            let place = Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0..<6, using: &generator) {
            case 0: bytes[place] = UInt8.random(in: .min ... .max, using: &generator)
            case 1: bytes.remove(at: place)
            case 2:
                let token = tokens.randomElement(using: &generator) ?? ""
                bytes.insert(contentsOf: Array(token.utf8), at: place)
            case 3: bytes.removeLast(Int.random(in: 0...min(8, bytes.count), using: &generator))
            case 4: bytes[place] = UInt8.random(in: 0x20...0x7e, using: &generator)
            default:
                let end = min(bytes.count, place + Int.random(in: 1...12, using: &generator))
                bytes.insert(contentsOf: Array(bytes[place..<end]), at: place)
            }
        }
        return bytes
    }

    @Test func `mutated bodies never crash the scanner`() {
        var generator = SeededGenerator(seed: 61)
        let rounds = 1_000_000 * Self.factor
        var accepted = 0
        for round in 0..<rounds {
            let body = mutated(&generator)
            let operation: PutOperation = round % 8 == 0 ? .putRecord : .putRecordBatch
            do throws(FirehoseError) {
                _ = try PutBodyScanner.scan(body.span, operation)
                accepted += 1
            } catch {
                #expect(error.code == .serialization || error.code == .validation)
            }
        }
        print("put bodies: \(rounds) mutations, \(accepted) accepted, no crash")
    }

    @Test func `the scanner agrees with Foundation's decoder on what is valid, and on the records`()
        throws
    {
        var generator = SeededGenerator(seed: 62)
        let rounds = 100_000 * Self.factor
        var both = 0
        var neither = 0
        var stricter = 0
        for _ in 0..<rounds {
            let body = mutated(&generator)
            let ours = Result { () throws(FirehoseError) in
                try PutBodyScanner.scan(body.span, .putRecordBatch)
            }
            let theirs = try? JSONDecoder().decode(Body.self, from: Data(body))
            switch (ours, theirs) {
            case (.success(let put), let theirs?):
                both += 1
                #expect(put.streamName == theirs.name)
                #expect(put.batch.records == theirs.records?.map { Array($0?.data ?? Data()) })
            case (.success, nil):
                Issue.record(
                    "accepted, and Foundation does not: \(String(decoding: body, as: UTF8.self))"
                )
            case (.failure(let error), _?) where error.code == .serialization:
                stricter += 1
                if !Self.isKnownDifference(body, error) {
                    Issue.record(
                        "\(error.message) refused: \(String(decoding: body, as: UTF8.self))"
                    )
                }
            case (.failure, _): neither += 1
            }
        }
        print(
            "put bodies: \(rounds) compared with Foundation: \(both) accepted by both, "
                + "\(neither) refused by both or by a limit, \(stricter) refused by us alone"
        )
    }

    /// Where we are stricter than Foundation's decoder on purpose: a member that stands twice, which
    /// it resolves silently; base64 with wrong padding and commas before a closing bracket, which it
    /// lets pass though RFC 4648 and RFC 8259 do not; and values that nobody reads, which it does not
    /// look at.
    private static func isKnownDifference(_ body: [UInt8], _ error: FirehoseError) -> Bool {
        if error.message.contains("twice") { return true }
        if (try? JSONSerialization.jsonObject(with: Data(body))) == nil { return true }
        if error.message.contains("Data is not base64") { return hasBadBase64(body) }
        return String(decoding: body, as: UTF8.self).contains(#/,\s*[\]}]/#)
    }

    /// True where some Data is not what an encoder could have written.
    private static func hasBadBase64(_ body: [UInt8]) -> Bool {
        let object = try? JSONSerialization.jsonObject(with: Data(body)) as? [String: Any]
        let records = object?["Records"] as? [[String: Any]] ?? []
        let texts = records.compactMap { $0["Data"] as? String }
        return texts.contains { Data(base64Encoded: $0)?.base64EncodedString() != $0 }
    }
}
