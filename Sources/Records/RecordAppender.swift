/// The operations that put records.
package enum PutOperation: Sendable {
    /// One record.
    case putRecord
    /// Up to 500.
    case putRecordBatch
}

/// Takes records in, and says when they are durable.
package protocol RecordAppender: Sendable {
    /// Appends a batch to a stream, and calls `completion` once, on any thread: with a receipt when
    /// the records are durable, with an AWS error when they are not. A throughput limit may keep
    /// the last records of a batch out, which the receipt's count tells; otherwise a batch is taken
    /// as a whole or not at all.
    ///
    /// - Parameters:
    ///   - batch: The records.
    ///   - name: The stream's name.
    ///   - operation: How they were put, for the metrics.
    ///   - completion: See above.
    func append(
        _ batch: RecordBatch,
        toStream name: String,
        by operation: PutOperation,
        completion: @escaping AppendCompletion
    )
}
