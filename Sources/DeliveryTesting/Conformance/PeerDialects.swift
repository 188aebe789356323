internal import Foundation
internal import JSON
internal import Records

extension DestinationConfiguration {
    /// A bucket, with buffers that do not wait.
    static var conformance: DestinationConfiguration {
        .s3(
            S3Destination(
                bucketARN: "arn:aws:s3:::bucket",
                bufferingHints: BufferingHints(sizeInMBs: 1, intervalInSeconds: 0)
            )
        )
    }

    /// A destination that takes records, with a bucket for those that it does not take.
    fileprivate static func conformance(
        _ kind: DestinationKind,
        retrySeconds: Int,
        _ members: JSONValue
    ) -> DestinationConfiguration {
        var members = members
        members["RoleARN"] = "arn:aws:iam::000000000000:role/delivery"
        members["BufferingHints"] = ["SizeInMBs": 1, "IntervalInSeconds": 0]
        members["RetryOptions"] = ["DurationInSeconds": .integer(retrySeconds)]
        members["S3Configuration"] = conformance.members
        return DestinationConfiguration(kind: kind, members: members)
    }
}

private let withoutCount: [ConformanceCase: String] = [
    .wrongCount: "its answers do not count records", .unconfirmed: "it confirms at once",
]

/// The S3 API.
struct S3Dialect: PeerDialect {
    let name = "S3"
    let kind = DestinationKind.extendedS3
    let judgesRecords = false
    let exceptions: [ConformanceCase: String] = withoutCount.merging(
        [.notJSON: "its status says all"]
    ) { first, _ in first }

    /// The dialect.
    init() {}

    func configuration(
        _ url: String,
        retrySeconds: Int
    ) -> DestinationConfiguration? { nil }

    func attempt(_ request: ScriptedPeer.Request) -> ConformanceScript.Attempt? {
        guard request.method == "PUT" else { return nil }
        return .init(identity: request.target, records: Conformance.lines(request.body))
    }

    func taken(
        _ request: ScriptedPeer.Request,
        _ rejected: Set<Int>,
        of count: Int
    ) -> ScriptedPeer.Action { .answer(status: 200, headers: [("ETag", "\"0\"")]) }

    func busy(_ request: ScriptedPeer.Request) -> ScriptedPeer.Action {
        .answer(status: 503, body: Array("<Error><Code>SlowDown</Code></Error>".utf8))
    }
}

/// OpenSearch's `_bulk`.
struct SearchDialect: PeerDialect {
    let name: String
    let kind: DestinationKind
    let judgesRecords = true
    let exceptions: [ConformanceCase: String] = [.unconfirmed: "it confirms at once"]

    /// The dialect of one of its two kinds.
    init(_ kind: DestinationKind) {
        self.kind = kind
        name = kind.rawValue
    }

    func configuration(_ url: String, retrySeconds: Int) -> DestinationConfiguration? {
        .conformance(
            kind,
            retrySeconds: retrySeconds,
            ["ClusterEndpoint": .string(url), "IndexName": "index"]
        )
    }

    func attempt(_ request: ScriptedPeer.Request) -> ConformanceScript.Attempt? {
        let lines = Conformance.lines(request.body)
        let actions = stride(from: 0, to: lines.count, by: 2).map { lines[$0] }
        let records = stride(from: 1, to: lines.count, by: 2).map { lines[$0] }
        return .init(identity: actions.joined(), records: records)
    }

    func taken(
        _ request: ScriptedPeer.Request,
        _ rejected: Set<Int>,
        of count: Int
    ) -> ScriptedPeer.Action {
        let items = (0..<count).map { place in
            rejected.contains(place)
                ? #"{"index":{"status":400,"error":{"type":"mapping","reason":"bad"}}}"#
                : #"{"index":{"status":201}}"#
        }
        return json(
            #"{"errors":\#(!rejected.isEmpty),"items":[\#(items.joined(separator: ","))]}"#
        )
    }

    func busy(_ request: ScriptedPeer.Request) -> ScriptedPeer.Action {
        // The cluster's own word that nothing was done.
        json(#"{"error":{"type":"cluster_block_exception"},"status":503}"#, status: 503)
    }
}

/// AWS's own protocol of HTTP endpoints.
struct EndpointDialect: PeerDialect {
    let name = "HTTP endpoint"
    let kind = DestinationKind.httpEndpoint
    let judgesRecords = false
    let exceptions = withoutCount

    /// The dialect.
    init() {}

    func configuration(_ url: String, retrySeconds: Int) -> DestinationConfiguration? {
        .conformance(
            .httpEndpoint,
            retrySeconds: retrySeconds,
            ["EndpointConfiguration": ["Url": .string(url)]]
        )
    }

    private func identifier(_ request: ScriptedPeer.Request) -> String {
        request.headers.first { $0.name == "x-amz-firehose-request-id" }?.value ?? ""
    }

    func attempt(_ request: ScriptedPeer.Request) -> ConformanceScript.Attempt? {
        let content = Conformance.object(request.body)
        let records = content["records"] as? [[String: String]] ?? []
        return .init(
            identity: identifier(request),
            records: records.flatMap { Conformance.lines(base64: $0["data"] ?? "") }
        )
    }

    func taken(
        _ request: ScriptedPeer.Request,
        _ rejected: Set<Int>,
        of count: Int
    ) -> ScriptedPeer.Action {
        json(#"{"requestId":"\#(identifier(request))","timestamp":1783951506789}"#)
    }

    func busy(_ request: ScriptedPeer.Request) -> ScriptedPeer.Action {
        json(#"{"requestId":"\#(identifier(request))","errorMessage":"busy"}"#, status: 503)
    }
}

/// Splunk's HTTP event collector.
struct SplunkDialect: PeerDialect {
    let name = "Splunk"
    let kind = DestinationKind.splunk
    let judgesRecords = false
    let exceptions: [ConformanceCase: String] = [
        .wrongCount: "its answers do not count records"
    ]

    /// The dialect.
    init() {}

    func configuration(_ url: String, retrySeconds: Int) -> DestinationConfiguration? {
        .conformance(
            .splunk,
            retrySeconds: retrySeconds,
            [
                "HECEndpoint": .string(url), "HECEndpointType": "Raw", "HECToken": "token",
                "HECAcknowledgmentTimeoutInSeconds": 180,
            ]
        )
    }

    func attempt(_ request: ScriptedPeer.Request) -> ConformanceScript.Attempt? {
        guard !request.target.contains("/ack?") else { return nil }
        // Nothing tells one request from another.
        return .init(identity: "", records: Conformance.lines(request.body))
    }

    /// Number 1 is acknowledged, and no other.
    func answer(_ request: ScriptedPeer.Request) -> ScriptedPeer.Action {
        json(#"{"acks":{"1":true,"2":false}}"#)
    }

    func taken(
        _ request: ScriptedPeer.Request,
        _ rejected: Set<Int>,
        of count: Int
    ) -> ScriptedPeer.Action { json(#"{"text":"Success","code":0,"ackId":1}"#) }

    func busy(_ request: ScriptedPeer.Request) -> ScriptedPeer.Action {
        json(#"{"text":"Server is busy","code":9}"#, status: 503)
    }

    func unconfirmed(_ request: ScriptedPeer.Request) -> ScriptedPeer.Action {
        json(#"{"text":"Success","code":0,"ackId":2}"#)
    }
}
