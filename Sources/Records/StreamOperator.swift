/// What an operator asks of a stream beside AWS's API.
package protocol StreamOperator: Sendable {
    /// Records that were put since a place, which the answer before it gave; from now on without one.
    ///
    /// - Throws: ResourceNotFoundException; InvalidArgumentException for a place that is none.
    func tail(_ stream: String, after place: String?) throws(FirehoseError) -> TailedRecords

    /// Sends what waits in buffers now, as far as it was put before the first call, and tells how much
    /// of that is left.
    ///
    /// - Throws: ResourceNotFoundException; InvalidArgumentException for a token that is none, and
    ///   where the stream's records are not delivered at all.
    func flush(_ stream: String, token: String?) throws(FirehoseError) -> FlushProgress
}

/// A part of what is put into a stream.
package struct TailedRecords: Sendable {
    /// A record as it was put.
    package struct Record: Sendable {
        /// What its producer was answered.
        package var id: RecordID
        /// When it was put.
        package var arrival: Timestamp
        /// Its bytes.
        package var data: [UInt8]

        /// A record.
        package init(id: RecordID, arrival: Timestamp, data: [UInt8]) {
            self.id = id
            self.arrival = arrival
            self.data = data
        }
    }

    /// The records, in order.
    package var records: [Record]
    /// Records before those that nobody remembers; no more than so many, where numbers have gaps.
    package var skipped: UInt64
    /// Where the next call goes on.
    package var place: String

    /// An answer.
    package init(records: [Record], skipped: UInt64, place: String) {
        self.records = records
        self.skipped = skipped
        self.place = place
    }
}

/// How far a flush has come.
package struct FlushProgress: Sendable {
    /// Records that are on their way; 0 for none, which is the end of it.
    package var pendingRecords: UInt64
    /// For the next call.
    package var token: String

    /// A progress.
    package init(pendingRecords: UInt64, token: String) {
        self.pendingRecords = pendingRecords
        self.token = token
    }
}
