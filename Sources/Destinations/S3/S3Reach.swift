internal import Egress
internal import Records

extension S3ObjectStore {
    /// Lists one key of a bucket.
    package func reach(bucket: String) async throws -> Reach {
        var request = request(
            "GET",
            bucket,
            "",
            [("list-type", "2"), ("max-keys", "1")],
            limit: 1 << 20
        )
        request.timeout = Reach.timeout
        do {
            let response = try await client.send(request)
            guard response.status != 200 else { return .reached("it can be listed") }
            let failure = S3Failure.failure(of: response, bucket: bucket)
            let text = "\(failure.code): \(failure.message)"
            return failure.code == "S3.AccessDenied"
                ? .doubtful(
                    "it may not be listed, so whether it may be written is not known: \(text)"
                )
                : .failed(text)
        } catch let error as EgressError {
            return Reach(error)
        }
    }
}
