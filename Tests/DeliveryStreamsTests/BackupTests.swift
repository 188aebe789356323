import DeliveryTesting
import Destinations
import JSON
import Records
import Synchronization
import TestSupport
import Testing

@testable import DeliveryStreams

@Suite(.timeLimit(.minutes(1))) struct BackupTests {
    /// Keeps PUTs to one bucket waiting until it is opened, whether or not they are cancelled.
    private final class HeldStore: ObjectStore {
        private struct State {
            var isOpen = false
            var held: [CheckedContinuation<Void, Never>] = []
        }
        private let state = Mutex(State())
        let others = ScriptedStore()

        func put(_ object: SpooledObject, as plan: ObjectPlan) async throws -> DeliveryOutcome {
            if plan.bucket == "backup" {
                await withCheckedContinuation { continuation in
                    let isOpen = state.withLock { state in
                        if !state.isOpen { state.held.append(continuation) }
                        return state.isOpen
                    }
                    if isOpen { continuation.resume() }
                }
            }
            return try await others.put(object, as: plan)
        }

        func whenHeld() async throws {
            while state.withLock(\.held.isEmpty) { try await Task.sleep(for: .milliseconds(1)) }
        }

        func open() {
            let held = state.withLock { state in
                state.isOpen = true
                return state.held
            }
            for continuation in held { continuation.resume() }
        }
    }

    private static func setBackup(_ isOn: Bool, _ stream: inout DeliveryStream) {
        stream.version += 1
        stream.destination.members["S3BackupMode"] = isOn ? "Enabled" : "Disabled"
        stream.destination.members["S3BackupConfiguration"] = [
            "BucketARN": "arn:aws:s3:::backup",
            "BufferingHints": ["SizeInMBs": 1, "IntervalInSeconds": 0],
        ]
    }

    @Test(arguments: LogKind.allCases)
    func `a backup that takes long to end holds up its own return, and no other change`(
        logs: LogKind
    ) async throws {
        let store = HeldStore()
        let harness = try await DeliveryHarness(store, logs: logs)
        let registry = harness.registry
        try await harness.create("s", interval: 300)
        try await harness.create("other")
        try await registry.update("s") { Self.setBackup(true, &$0) }
        try await harness.put([Array("first".utf8)])
        try await store.whenHeld()
        try await registry.update("s") { Self.setBackup(false, &$0) }
        let (attempts, attempt) = AsyncStream.makeStream(of: Void.self)
        async let back: Void = registry.update("s") { stream in
            attempt.yield()
            Self.setBackup(true, &stream)
        }
        for await _ in attempts { break }
        // Behind the attempt, in the order of changes.
        try await registry.update("other") { $0.version += 1 }
        try await registry.update("s") { $0.tags = [.init(key: "k", value: "v")] }
        #expect(try registry.describe("other").stream.version == 2)
        #expect(try !registry.describe("s").stream.destination.keepsBackup)
        store.open()
        try await back
        let stream = try registry.describe("s").stream
        #expect(stream.destination.keepsBackup && stream.tags.map(\.key) == ["k"])
        try await harness.put([Array("second".utf8)])
        try await harness.eventually {
            store.others.puts.contains { put in
                put.plan.bucket == "backup"
                    && String(decoding: put.content, as: UTF8.self).contains("second")
            }
        }
        await harness.stop()
    }
}
