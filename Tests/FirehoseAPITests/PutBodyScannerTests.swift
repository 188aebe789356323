import FirehoseAPI
import Foundation
import JSON
import Records
import TestSupport
import Testing

@Suite struct PutBodyScannerTests {
    private func scan(
        _ json: String,
        _ operation: PutOperation = .putRecordBatch
    )
        throws(FirehoseError) -> PutBodyScanner.Put
    {
        try PutBodyScanner.scan(Array(json.utf8).span, operation)
    }

    private func code(
        _ json: String,
        _ operation: PutOperation = .putRecordBatch
    )
        -> FirehoseError.Code?
    {
        do throws(FirehoseError) {
            _ = try scan(json, operation)
            return nil
        } catch {
            return error.code
        }
    }

    @Test func `a batch is found whatever its order, spaces and further members`() throws {
        let put = try scan(
            """
            {"Other": {"a": [1, -2.5e3, true, null, "\\u00e9"]}, "Records" : [ {"Data":"aGVsbG8="},
             {"Extra": [], "Data" : "" }, {"D\\u0061ta":"QQ=="} ], "DeliveryStreamName":"s"}
            """
        )
        #expect(put.streamName == "s")
        #expect(put.batch.records == [Array("hello".utf8), [], Array("A".utf8)])
    }

    @Test func `a single record is found`() throws {
        let put = try scan(
            #"{"DeliveryStreamName":"s","Record":{"Data":"aGk="}}"#,
            .putRecord
        )
        #expect(put.batch.records == [Array("hi".utf8)])
    }

    @Test func `slashes may be escaped, as some encoders do`() throws {
        let put = try scan(#"{"DeliveryStreamName":"s","Records":[{"Data":"\/\/79\u002f+8="}]}"#)
        #expect(put.batch.records == [Array(Data(base64Encoded: "//79/+8=") ?? Data())])
    }

    @Test(arguments: [
        "", "{", "[]", "null", "{}x", #"{"DeliveryStreamName":1,"Records":[]}"#,
        #"{"DeliveryStreamName":"s","Records":{}}"#, #"{"DeliveryStreamName":"s","Records":[1]}"#,
        #"{"DeliveryStreamName":"s","Records":[{"Data":1}]}"#,
        #"{"DeliveryStreamName":"s","Records":[{"Data":"QQ=="},]}"#,
        #"{"DeliveryStreamName":"s","Records":[{"Data":"QQ=="}],}"#,
        #"{"DeliveryStreamName":"s","Records":[{"Data":"Q"}]}"#,
        #"{"DeliveryStreamName":"s","Records":[{"Data":"QQ"}]}"#,
        #"{"DeliveryStreamName":"s","Records":[{"Data":"QQ="}]}"#,
        #"{"DeliveryStreamName":"s","Records":[{"Data":"QQ==="}]}"#,
        #"{"DeliveryStreamName":"s","Records":[{"Data":"QQ==QQ=="}]}"#,
        #"{"DeliveryStreamName":"s","Records":[{"Data":"QUJ D"}]}"#,
        #"{"DeliveryStreamName":"s","Records":[{"Data":"QQ-_"}]}"#,
        #"{"DeliveryStreamName":"s","Records":[{"Data":"=QQ="}]}"#,
        #"{"DeliveryStreamName":"s","Records":[{"Data":"QQ=="]}"#,
        #"{"DeliveryStreamName":"s","Records":[{"Data":"QQ=="#,
        #"{"DeliveryStreamName":"s","Records":[],"x":01}"#,
        #"{"DeliveryStreamName":"s","Records":[],"x":"\ud800"}"#,
        #"{"DeliveryStreamName":"s","Records":[],"x":tru}"#,
        #"{"DeliveryStreamName":"s","DeliveryStreamName":"t","Records":[]}"#,
    ]) func `what is not the operation's JSON, or not base64, is a SerializationException`(
        json: String
    ) {
        #expect(code(json) == .serialization)
    }

    @Test(arguments: [
        (#"{"Records":[{"Data":""}]}"#, "Value null at 'deliveryStreamName'"),
        (#"{"DeliveryStreamName":"s"}"#, "Value null at 'records'"),
        (#"{"DeliveryStreamName":"s","Records":null}"#, "Value null at 'records'"),
        (#"{"DeliveryStreamName":"s","Records":[]}"#, "greater than or equal to 1"),
        (#"{"DeliveryStreamName":"s","Records":[{}]}"#, "Value null at 'records.1.member.data'"),
        (
            #"{"DeliveryStreamName":"s","Records":[{"Data":""},{"Data":null}]}"#,
            "Value null at 'records.2.member.data'"
        ),
        (#"{"DeliveryStreamName":"a b","Records":[{"Data":""}]}"#, "[a-zA-Z0-9_.-]+"),
        (#"{"DeliveryStreamName":"","Records":[{"Data":""}]}"#, "greater than or equal to 1"),
    ]) func `what breaks a constraint is a ValidationException that names the member`(
        json: String,
        text: String
    ) {
        #expect {
            try scan(json)
        } throws: { error in
            (error as? FirehoseError)?.code == .validation && "\(error)".contains(text)
                && "\(error)".contains("1 validation error detected: ")
        }
    }

    private func batch(_ sizes: [Int]) -> String {
        let records = sizes.map {
            #"{"Data":"\#(Data(repeating: 65, count: $0).base64EncodedString())"}"#
        }
        return #"{"DeliveryStreamName":"s","Records":[\#(records.joined(separator: ","))]}"#
    }

    @Test func `each limit holds at its edge and is answered with AWS's error beyond it`() throws {
        #expect(try scan(batch([1_024_000])).batch.dataBytes == 1_024_000)
        #expect {
            try scan(batch([1, 1_024_001]))
        } throws: { error in
            (error as? FirehoseError)
                == FirehoseError(
                    .validation,
                    "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 "
                        + "lim=1024001 cap=1024001]' at 'records.2.member.data' failed to satisfy "
                        + "constraint: Member must have length less than or equal to 1024000"
                )
        }
        #expect(try scan(batch([Int](repeating: 0, count: 500))).batch.recordCount == 500)
        #expect(code(batch([Int](repeating: 0, count: 501))) == .validation)
        let most = [Int](repeating: 1_000_000, count: 4) + [194_304]
        #expect(try scan(batch(most)).batch.dataBytes == Limits.maximumBatchBytes)
        #expect {
            try scan(batch(most + [1]))
        } throws: { error in
            (error as? FirehoseError)
                == FirehoseError(.invalidArgument, "Records size exceeds 4 MB limit")
        }
    }

    @Test func `nesting has a bound`() {
        let deep = String(repeating: "[", count: 100_000)
        #expect(code(#"{"DeliveryStreamName":"s","x":\#(deep)"#) == .serialization)
    }
}
