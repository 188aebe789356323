internal import HTTPServer
internal import NIOCore
internal import Records

/// Answers of the API, in the form of the AWS JSON 1.1 protocol.
extension HTTPAnswer {
    private static let jsonType = "application/x-amz-json-1.1"

    private init(json body: ByteBuffer, status: Int = 200) {
        self.init(status: status, contentType: Self.jsonType, body: body)
    }

    /// An error of an operation.
    init(_ error: FirehoseError, _ allocator: ByteBufferAllocator) {
        self.init(
            code: error.code.rawValue,
            message: error.message,
            detailCode: error.detailCode,
            status: error.status,
            allocator
        )
    }

    /// The one place where errors become what SDKs read: `__type` and `message` (AWS JSON 1.1
    /// protocol, "Operation error serialization").
    init(
        code: String,
        message: String,
        detailCode: String? = nil,
        status: Int,
        _ allocator: ByteBufferAllocator
    ) {
        var body = allocator.buffer(capacity: 128 + message.utf8.count)
        body.writeString(#"{"__type":""#)
        body.writeString(code)
        body.writeString(#"","message":""#)
        body.writeJSONEscaped(message)
        if let detailCode {
            body.writeString(#"","code":""#)
            body.writeJSONEscaped(detailCode)
        }
        body.writeString(#""}"#)
        self.init(json: body, status: status)
        errorCode = code
    }

    /// A body that is JSON already.
    init(json: [UInt8], _ allocator: ByteBufferAllocator) {
        self.init(json: allocator.buffer(bytes: json))
    }

    /// PutRecord's answer.
    init(record receipt: AppendReceipt, _ allocator: ByteBufferAllocator) {
        var body = allocator.buffer(capacity: 80)
        body.writeString(#"{"Encrypted":"#)
        body.writeString(receipt.isEncrypted ? "true" : "false")
        body.writeString(#","RecordId":""#)
        body.writeRecordID(receipt.generation, receipt.number(ofRecord: 0))
        body.writeString(#""}"#)
        self.init(json: body)
    }

    /// PutRecordBatch's answer: the receipt's records are durable, which are the first of those that
    /// were requested; the client should try the others again.
    init(batch receipt: AppendReceipt, requested: Int, _ allocator: ByteBufferAllocator) {
        let failed = requested - receipt.recordCount
        var body = allocator.buffer(capacity: 80 + requested * 48 + failed * 48)
        body.writeString(#"{"Encrypted":"#)
        body.writeString(receipt.isEncrypted ? "true" : "false")
        body.writeString(#","FailedPutCount":\#(failed),"RequestResponses":["#)
        for index in 0..<receipt.recordCount {
            body.writeString(index == 0 ? #"{"RecordId":""# : #"},{"RecordId":""#)
            body.writeRecordID(receipt.generation, receipt.number(ofRecord: index))
            body.writeString("\"")
        }
        body.writeString("}")
        for _ in 0..<failed {
            body.writeString(",")
            body.writeFailedEntry(.slowDown)
        }
        body.writeString("]}")
        self.init(json: body)
    }

    /// PutRecordBatch's answer where no record was taken and the client should try again: HTTP 200
    /// with an error for each (API reference, PutRecordBatch).
    init(failedBatch error: FirehoseError, count: Int, _ allocator: ByteBufferAllocator) {
        var body = allocator.buffer(capacity: 80 + count * 96)
        body.writeString(#"{"Encrypted":false,"FailedPutCount":\#(count),"RequestResponses":["#)
        for index in 0..<count {
            if index > 0 { body.writeString(",") }
            body.writeFailedEntry(error)
        }
        body.writeString("]}")
        self.init(json: body)
        errorCode = error.code.rawValue
    }
}

extension ByteBuffer {
    /// A PutRecordBatchResponseEntry of a record that was not taken.
    fileprivate mutating func writeFailedEntry(_ error: FirehoseError) {
        writeString(#"{"ErrorCode":""#)
        writeString(error.code.rawValue)
        writeString(#"","ErrorMessage":""#)
        writeJSONEscaped(error.message)
        writeString(#""}"#)
    }

    /// A record's id: the log's generation and the record's number in it, in hexadecimal.
    ///
    /// Opaque to clients, and never given twice.
    fileprivate mutating func writeRecordID(_ generation: UInt64, _ number: RecordNumber) {
        writeHexadecimal(generation)
        writeHexadecimal(number.value)
    }

    /// Text as the content of a JSON string.
    fileprivate mutating func writeJSONEscaped(_ text: String) {
        for byte in text.utf8 {
            switch byte {
            case 0x22, 0x5c:
                writeInteger(UInt8(0x5c))
                writeInteger(byte)
            case 0..<0x20:
                writeString("\\u00")
                let digits = Array("0123456789abcdef".utf8)
                writeInteger(digits[Int(byte >> 4)])
                writeInteger(digits[Int(byte & 15)])
            default: writeInteger(byte)
            }
        }
    }
}
