internal import JSON
internal import Platform
internal import Records

/// This server's own operations, which AWS does not have.
extension ControlPlane {
    func tail(_ name: String, _ request: JSONValue) throws(FirehoseError) -> JSONValue {
        let tailed = try ownOperator().tail(name, after: request["NextToken"]?.string)
        return [
            "Records": .array(
                tailed.records.map { record in
                    [
                        "RecordId": .string("\(record.id)"),
                        "ApproximateArrivalTimestamp":
                            .number(Double(record.arrival.milliseconds) / 1000),
                        "Data": .string(Base64.text(record.data)),
                    ]
                }
            ),
            "RecordsSkipped": .integer(Int(clamping: tailed.skipped)),
            "NextToken": .string(tailed.place),
        ]
    }

    func flush(_ name: String, _ request: JSONValue) throws(FirehoseError) -> JSONValue {
        let progress = try ownOperator().flush(name, token: request["Token"]?.string)
        return [
            "PendingRecords": .integer(Int(clamping: progress.pendingRecords)),
            "Token": .string(progress.token),
        ]
    }

    private func ownOperator() throws(FirehoseError) -> any StreamOperator {
        guard let streamOperator else {
            throw FirehoseError(.unknownOperation, "This server does not have the operation.")
        }
        return streamOperator
    }
}
