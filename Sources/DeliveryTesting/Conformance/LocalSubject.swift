internal import Destinations
internal import Foundation
internal import Platform
internal import Records
internal import TestSupport

/// Buckets that are folders.
struct LocalSubject: ConformanceSubject {
    let name = "local bucket"
    let kind = DestinationKind.s3
    let judgesRecords = false
    let exceptions: [ConformanceCase: String] = {
        var exceptions: [ConformanceCase: String] = [:]
        for each in [
            ConformanceCase.connectionRefused, .reset, .cut, .slow, .wrongCount, .notJSON, .flood,
            .restart, .unconfirmed,
        ] {
            exceptions[each] = "a folder has no connection"
        }
        return exceptions
    }()

    /// The subject.
    init() {}

    func start(
        _ script: ConformanceScript,
        retrySeconds: Int,
        time: ManualTime
    ) async throws -> any ConformanceTarget {
        try LocalTarget(script, retrySeconds)
    }
}

/// A folder of buckets that is in the way of some objects.
private final class LocalTarget: ConformanceTarget, ObjectStore {
    private let folder = TemporaryFolder()
    private let threads = WorkerThreads(count: 1)
    private let store: LocalBucketStore
    private let script: ConformanceScript
    private let retrySeconds: Int
    let failures: ScriptedStore? = nil
    let failedRecords: [String]? = nil
    let flooded = 0

    init(_ script: ConformanceScript, _ retrySeconds: Int) throws {
        self.script = script
        self.retrySeconds = retrySeconds
        store = try LocalBucketStore(folder: folder("buckets"), threads: threads)
    }

    var parts: DeliveryHarness.Parts {
        DeliveryHarness.Parts(store: self, retryDuration: .seconds(retrySeconds))
    }

    var destination: DestinationConfiguration { .conformance }

    func put(_ object: SpooledObject, as plan: ObjectPlan) async throws -> DeliveryOutcome {
        let records = try Conformance.lines(ScriptedStore.content(of: object))
        let step = script.next(.init(identity: plan.key, records: records), judgesRecords: false)
        let isRefused =
            switch step {
            case .accept: false
            case .rejectBad: records.contains(where: Conformance.isBad)
            default: true
            }
        // A file in the place of the object's folder.
        let path = folder("buckets/" + LocalBucketStore.path(bucket: plan.bucket, key: plan.key))
        let parent = Folder.parent(of: path) ?? path
        let aside = folder("aside")
        if isRefused {
            if let above = Folder.parent(of: parent) { try Folder.create(above) }
            if Folder.exists(parent) { try Folder.rename(parent, to: aside) }
            try Folder.replaceFile(parent, with: [])
        }
        let outcome = try await store.put(object, as: plan)
        if isRefused {
            try Folder.remove(parent)
            if Folder.exists(aside) { try Folder.rename(aside, to: parent) }
        } else if outcome == .delivered {
            // What the script counts as taken is there.
            let content = try Folder.readFile(path)
            precondition(Conformance.lines(content) == records)
        }
        return outcome
    }

    func close() async throws {}
    func stop() async throws { threads.close() }
}
