internal import Foundation
internal import JSON
internal import Records
internal import Synchronization

/// A bucket and the Redshift Data API behind one address: what is loaded is what the objects of a
/// manifest hold.
final class WarehouseDialect: PeerDialect {
    let name = "Redshift"
    let kind = DestinationKind.redshift
    let judgesRecords = false
    let isWarehouse = true
    let exceptions: [ConformanceCase: String] = [
        .wrongCount: "its answers do not count records",
        .unconfirmed: "a statement without an end is one that is slow",
    ]
    private let objects = Mutex<[String: [UInt8]]>([:])

    func configuration(_ url: String, retrySeconds: Int) -> DestinationConfiguration? {
        DestinationConfiguration(
            kind: .redshift,
            members: [
                "RoleARN": "arn:aws:iam::000000000000:role/delivery",
                "ClusterJDBCURL": "jdbc:redshift://cluster.example:5439/db",
                "CopyCommand": ["DataTableName": "t"], "Username": "user", "Password": "password",
                "RetryOptions": ["DurationInSeconds": .integer(retrySeconds)],
                "S3Configuration": DestinationConfiguration.conformance.members,
            ]
        )
    }

    func attempt(_ request: ScriptedPeer.Request) -> ConformanceScript.Attempt? {
        guard request.method == "POST" else { return nil }
        let sql = Conformance.object(request.body)["Sql"] as? String ?? ""
        guard let start = sql.range(of: "'s3://bucket/"),
            let end = sql.range(of: "'", range: start.upperBound..<sql.endIndex)
        else { return nil }
        return .init(
            identity: sql,
            records: records(ofManifest: "/bucket/" + sql[start.upperBound..<end.lowerBound])
        )
    }

    func answer(_ request: ScriptedPeer.Request) -> ScriptedPeer.Action {
        guard request.method == "PUT" else { return json(#"{"Status":"FINISHED"}"#) }
        objects.withLock { $0[request.target] = request.body }
        return .answer(status: 200, headers: [("ETag", "\"0\"")])
    }

    func taken(
        _ request: ScriptedPeer.Request,
        _ rejected: Set<Int>,
        of count: Int
    ) -> ScriptedPeer.Action { json(#"{"Id":"1"}"#) }

    func busy(_ request: ScriptedPeer.Request) -> ScriptedPeer.Action {
        json(#"{"__type":"InternalServerException","message":"busy"}"#, status: 503)
    }

    var failedRecords: [String]? {
        let keys = objects.withLock { $0.keys.sorted() }
        return keys.filter { $0.contains("/errors/manifests/") }.flatMap(records(ofManifest:))
    }

    private func records(ofManifest path: String) -> [String] {
        let objects = objects.withLock { $0 }
        let manifest = Conformance.object(objects[path] ?? [])
        let entries = manifest["entries"] as? [[String: Any]] ?? []
        return entries.flatMap { entry in
            let url = entry["url"] as? String ?? ""
            return Conformance.lines(
                objects[url.replacing("s3:/", with: "", maxReplacements: 1)] ?? []
            )
        }
    }
}
