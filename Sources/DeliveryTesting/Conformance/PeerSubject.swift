internal import Destinations
internal import Egress
internal import Foundation
internal import Platform
internal import Records
internal import SigV4
internal import Synchronization
internal import TestSupport

/// How a destination that is reached over HTTP speaks.
protocol PeerDialect: Sendable {
    /// What it is called.
    var name: String { get }
    /// The kind of destination that speaks so.
    var kind: DestinationKind { get }
    /// Whether it may take some records of a request and refuse others.
    var judgesRecords: Bool { get }
    /// What it cannot meet with, and why.
    var exceptions: [ConformanceCase: String] { get }
    /// Whether it is a bucket and a warehouse that loads from there.
    var isWarehouse: Bool { get }
    /// Records that were given up, where the peer has them.
    var failedRecords: [String]? { get }

    /// What a stream is configured with; nil for one that takes objects.
    func configuration(_ url: String, retrySeconds: Int) -> DestinationConfiguration?
    /// What a request carried; nil where it is not one with records.
    func attempt(_ request: ScriptedPeer.Request) -> ConformanceScript.Attempt?
    /// The answer to a request without records.
    func answer(_ request: ScriptedPeer.Request) -> ScriptedPeer.Action
    /// The answer that says which records were taken.
    func taken(
        _ request: ScriptedPeer.Request,
        _ rejected: Set<Int>,
        of count: Int
    ) -> ScriptedPeer.Action
    /// The answer of a server that is busy.
    func busy(_ request: ScriptedPeer.Request) -> ScriptedPeer.Action
    /// An answer that takes all, and is not followed by a confirmation.
    func unconfirmed(_ request: ScriptedPeer.Request) -> ScriptedPeer.Action
}

extension PeerDialect {
    var isWarehouse: Bool { false }
    var failedRecords: [String]? { nil }

    /// JSON as an answer's body.
    func json(_ text: String, status: Int = 200) -> ScriptedPeer.Action {
        .answer(
            status: status,
            headers: [("Content-Type", "application/json")],
            body: Array(text.utf8)
        )
    }

    func answer(_ request: ScriptedPeer.Request) -> ScriptedPeer.Action {
        json("{}", status: 404)
    }

    func unconfirmed(_ request: ScriptedPeer.Request) -> ScriptedPeer.Action {
        answer(request)
    }
}

/// A destination behind HTTP, whose server is scripted.
struct PeerSubject: ConformanceSubject {
    private let make: @Sendable () -> any PeerDialect
    private let dialect: any PeerDialect

    var name: String { dialect.name }
    var kind: DestinationKind { dialect.kind }
    var judgesRecords: Bool { dialect.judgesRecords }
    var exceptions: [ConformanceCase: String] { dialect.exceptions }

    /// One that speaks so.
    init(_ make: @escaping @autoclosure @Sendable () -> any PeerDialect) {
        self.make = make
        dialect = make()
    }

    func start(
        _ script: ConformanceScript,
        retrySeconds: Int,
        time: ManualTime
    ) async throws -> any ConformanceTarget {
        // Each has objects of its own.
        let dialect = make()
        let peer = try await ScriptedPeer { request in
            guard let attempt = dialect.attempt(request) else { return dialect.answer(request) }
            let count = attempt.records.count
            switch script.next(attempt, judgesRecords: dialect.judgesRecords) {
            case .accept: return dialect.taken(request, [], of: count)
            case .rejectBad:
                let bad = attempt.records.indices.filter { Conformance.isBad(attempt.records[$0]) }
                return !bad.isEmpty && !dialect.judgesRecords
                    ? dialect.busy(request) : dialect.taken(request, Set(bad), of: count)
            case .refuse: return dialect.busy(request)
            case .reset: return .reset
            case .cut: return .cut
            case .silence: return .silence
            case .wrongCount: return dialect.taken(request, [], of: count + 1)
            case .notJSON: return dialect.json("<html>all is well</html>")
            case .flood: return .flood(Array(#"{"items":["#.utf8))
            case .unconfirmed: return dialect.unconfirmed(request)
            }
        }
        return try PeerTarget(dialect, peer, retrySeconds, time)
    }
}

private final class PeerTarget: ConformanceTarget {
    private let dialect: any PeerDialect
    private let peer: ScriptedPeer
    private let client = HTTPClient()
    private let threads = WorkerThreads(count: 1)
    private let isClosed = Mutex(false)
    let parts: DeliveryHarness.Parts
    let destination: DestinationConfiguration
    let failures: ScriptedStore?

    init(
        _ dialect: any PeerDialect,
        _ peer: ScriptedPeer,
        _ retrySeconds: Int,
        _ time: ManualTime
    ) throws {
        self.dialect = dialect
        self.peer = peer
        let url = "http://127.0.0.1:\(peer.port)"
        let configuration = dialect.configuration(url, retrySeconds: retrySeconds)
        destination = configuration ?? .conformance
        if configuration != nil, !dialect.isWarehouse {
            let store = ScriptedStore()
            parts = DeliveryHarness.Parts(
                store: store,
                recordDestinations: RecordDestinations(
                    client: client,
                    settings: try Self.impatientSettings(),
                    identity: DeliveryHarness.identity,
                    threads: threads,
                    time: time
                )
            )
            failures = store
            return
        }
        failures = nil
        let credentials = Credentials(accessKeyID: "key", secretAccessKey: "secret")
        let store = S3ObjectStore(
            try S3Configuration(
                endpoint: url,
                region: "us-east-1",
                addressing: .path,
                credentials: credentials
            ),
            client: client,
            time: time,
            patience: .seconds(1)
        )
        var copies: CopyService?
        if dialect.isWarehouse {
            var settings = CopySettings()
            settings.executor = .dataAPI
            settings.credentials = credentials
            settings.dataAPIEndpoint = url
            settings.requestTimeout = .seconds(1)
            copies = try CopyService(settings, client: client, time: time)
        }
        parts = DeliveryHarness.Parts(
            store: store,
            retryDuration: .seconds(retrySeconds),
            copies: copies
        )
    }

    private static func impatientSettings() throws -> EndpointSettings {
        let folder = TemporaryFolder()
        let path = folder("settings.json")
        let settings = #"{"endpoints": [{"endpoint": "*", "timeoutSeconds": 1}]}"#
        try Folder.replaceFile(path, with: Array(settings.utf8))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        return try EndpointSettings(path: path)
    }

    var failedRecords: [String]? { dialect.failedRecords }

    var flooded: Int { peer.flooded }

    func close() async throws {
        let wasClosed = isClosed.withLock { isClosed in
            defer { isClosed = true }
            return isClosed
        }
        if !wasClosed { try await peer.stop() }
    }

    func stop() async throws {
        try await close()
        client.shutDown()
        threads.close()
    }
}
