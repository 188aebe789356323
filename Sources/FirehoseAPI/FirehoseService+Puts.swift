internal import HTTPServer
internal import Logging
internal import NIOCore
internal import Records

/// PutRecord and PutRecordBatch (API reference).
extension FirehoseService {
    func put(
        _ operation: PutOperation,
        _ request: ReceivedRequest,
        _ done: @escaping @Sendable (@escaping HTTPAnswer.Maker) -> Void
    ) throws(FirehoseError) {
        let body = try request.unpackedBody()
        let put = try PutBodyScanner.scan(body.readableBytesUInt8Span, operation)
        try authorize(
            request.caller,
            operation == .putRecord ? .putRecord : .putRecordBatch,
            on: put.streamName
        )
        let count = put.batch.recordCount
        let isLogged = logger.logLevel <= .debug
        let stream = isLogged ? put.streamName : ""
        let allocator = request.allocator
        appender.append(put.batch, toStream: put.streamName, by: operation) { result in
            done({
                var answer =
                    switch (result, operation) {
                    case (.success(let receipt), .putRecord):
                        HTTPAnswer(record: receipt, allocator)
                    case (.success(let receipt), .putRecordBatch):
                        HTTPAnswer(batch: receipt, requested: count, allocator)
                    case (.failure(let error), .putRecordBatch)
                    where error.code == .serviceUnavailable:
                        HTTPAnswer(failedBatch: error, count: count, allocator)
                    case (.failure(let error), _): HTTPAnswer(error, allocator)
                    }
                if isLogged, case .success(let receipt) = result {
                    answer.logEntry = Self.logEntry(stream, receipt)
                }
                return answer
            })
        }
    }

    /// What was put where; nil where nothing was.
    private static func logEntry(_ stream: String, _ receipt: AppendReceipt) -> HTTPAnswer.LogEntry?
    {
        guard receipt.recordCount > 0 else { return nil }
        let first = receipt.number(ofRecord: 0)
        let last = receipt.number(ofRecord: receipt.recordCount - 1)
        return HTTPAnswer.LogEntry(
            "put",
            [
                "stream": "\(stream)",
                "records": "\(receipt.recordCount)",
                "first_record_id": "\(RecordID(generation: receipt.generation, number: first))",
                "last_record_id": "\(RecordID(generation: receipt.generation, number: last))",
            ]
        )
    }
}
