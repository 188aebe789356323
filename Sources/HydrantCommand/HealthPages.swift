internal import Delivery
internal import DeliveryStreams
internal import Foundation
internal import HTTPServer
internal import JSON
internal import Observability
internal import Platform
internal import Records
internal import Synchronization

/// `GET /health` and `GET /ready`: whether the server lives, and whether it can be relied on.
final class HealthPages: Sendable {
    private static let contentType = "application/json"
    /// Reasons that are told one by one.
    private static let maximumReasons = 20

    private let registry: StreamRegistry
    private let descriptors: DescriptorPlan
    private let freshnessBound: Duration
    private let isStopping = Atomic(false)
    private let time: any TimeSource
    private let startedAt: ContinuousClock.Instant
    private let threads = WorkerThreads(count: 1)
    /// The threads that all streams use for the disk.
    private let disk: Probe
    /// The data folder.
    private let writing: Probe

    init(
        folder: DataFolder,
        registry: StreamRegistry,
        descriptors: DescriptorPlan,
        freshnessBound: Duration,
        time: any TimeSource
    ) {
        self.time = time
        startedAt = time.instant()
        self.registry = registry
        self.descriptors = descriptors
        self.freshnessBound = freshnessBound
        disk = Probe(on: registry.diskThreads, patience: .seconds(60), time: time) {}
        writing = Probe(on: threads, time: time) { try folder.tryWriting() }
    }

    /// The pages by their paths.
    var pages: [String: StatusPage] {
        [
            "/health": StatusPage(contentType: Self.contentType) { [self] in await health() },
            "/ready": StatusPage(contentType: Self.contentType) { [self] in await ready() },
        ]
    }

    /// From now on the server is not ready.
    func stop() { isStopping.store(true, ordering: .relaxed) }

    /// What is read when the server should be started anew where it fails.
    private func health() async -> StatusPage.Content {
        let reasons = await disk.failure().map { ["the disk does not answer: \($0)"] } ?? []
        let uptime = startedAt.duration(to: time.instant()).components.seconds
        return page(
            reasons,
            good: "ok",
            bad: "failing",
            ["version": .string(Version.current), "uptimeSeconds": .integer(Int(uptime))]
        )
    }

    private func ready() async -> StatusPage.Content {
        var reasons: [String] = []
        if let failure = await writing.failure() {
            reasons.append("the data folder cannot be written: \(failure)")
        }
        if isStopping.load(ordering: .relaxed) { reasons.append("the server is stopping") }
        if let shortage = descriptors.shortage { reasons.append(shortage) }
        for late in registry.lateStreams(bound: freshnessBound) {
            reasons.append(
                "the stream \(late.stream) is stuck: its oldest undelivered record is "
                    + "\(late.age.components.seconds) s old, more than its bound of "
                    + "\(late.bound.components.seconds) s"
            )
        }
        // No reason to be not ready: a load balancer would take the other streams' producers away too.
        let quarantined = registry.quarantined.map { JSONValue.string($0) }
        let more: [String: JSONValue] =
            quarantined.isEmpty ? [:] : ["quarantined": .array(quarantined)]
        return page(reasons, good: "ready", bad: "not ready", more)
    }

    private func page(
        _ reasons: [String],
        good: String,
        bad: String,
        _ more: [String: JSONValue]
    ) -> StatusPage.Content {
        var members = more
        members["status"] = .string(reasons.isEmpty ? good : bad)
        if !reasons.isEmpty {
            var told = reasons.prefix(Self.maximumReasons).map { JSONValue.string($0) }
            if reasons.count > told.count {
                told.append(.string("and \(reasons.count - told.count) more"))
            }
            members["reasons"] = .array(told)
        }
        let text = (try? Document.line(JSONValue.object(members))) ?? ""  // always encodes
        return StatusPage.Content(isGood: reasons.isEmpty, text + "\n")
    }
}
