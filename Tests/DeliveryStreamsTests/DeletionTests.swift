import DeliveryTesting
import Glibc
import Platform
import Records
import TestSupport
import Testing

@testable import DeliveryStreams

/// Deletions that fail: a stream is not lost for it.
@Suite(.timeLimit(.minutes(1))) struct DeletionTests {
    private let refusal = FirehoseError(
        .serviceUnavailable,
        "The stream could not be deleted."
    )

    /// Files where folders are needed: the stream can neither be moved away nor started again.
    private func breakFolders(_ harness: DeliveryHarness) throws {
        for path in folders(harness) {
            try Folder.remove(path)
            try Folder.replaceFile(path, with: [])
        }
    }

    private func mendFolders(_ harness: DeliveryHarness) throws {
        for path in folders(harness) {
            try Folder.remove(path)
            try Folder.create(path)
        }
    }

    private func folders(_ harness: DeliveryHarness) -> [String] {
        [harness.folder("data/unfinished"), harness.folder("data/streams/s.stream/in-flight")]
    }

    private func text(_ store: ScriptedStore) -> String {
        String(decoding: store.puts.flatMap(\.content), as: UTF8.self)
    }

    @Test(arguments: LogKind.allCases)
    func `a stream whose deletion failed is started again as soon as that works`(
        logs: LogKind
    ) async throws {
        let store = ScriptedStore()
        let harness = try await DeliveryHarness(store, logs: logs)
        try await harness.create(interval: 300)
        try await harness.put([Array("kept".utf8)])
        try breakFolders(harness)
        await #expect(throws: refusal) { try await harness.registry.delete("s") }
        #expect(try harness.registry.describe("s").status == .deleting)
        // Another attempt that fails, and one that works.
        for _ in 0..<2 {
            await harness.time.whenSleepers()
            harness.time.advance(by: .seconds(2))
        }
        await harness.time.whenSleepers()
        #expect(try harness.registry.describe("s").status == .deleting)
        try mendFolders(harness)
        harness.time.advance(by: .seconds(2))
        try await harness.eventually { try harness.registry.describe("s").status == .active }
        try await harness.put([Array(", and more".utf8)])
        await harness.time.whenSleepers()
        harness.time.advance(by: .seconds(300))
        await store.whenPuts(1)
        #expect(text(store) == "kept, and more")
        try await harness.registry.delete("s")
        #expect(try Folder.list(harness.folder("data/streams")).isEmpty)
        await harness.stop()
    }

    @Test(arguments: LogKind.allCases)
    func `a server that stops meanwhile finds the stream at its next start`(
        logs: LogKind
    ) async throws {
        let harness = try await DeliveryHarness(ScriptedStore(), logs: logs)
        try await harness.create(interval: 300)
        try await harness.put([Array("kept".utf8)])
        try breakFolders(harness)
        await #expect(throws: refusal) { try await harness.registry.delete("s") }
        await harness.stop()
        try mendFolders(harness)
        let store = ScriptedStore()
        try await harness.restart(store)
        #expect(try harness.registry.describe("s").status == .active)
        await harness.time.whenSleepers()
        harness.time.advance(by: .seconds(300))
        await store.whenPuts(1)
        #expect(text(store) == "kept")
        await harness.stop()
    }

    @Test(arguments: LogKind.allCases)
    func `a stream that is being changed is deleted behind the change`(logs: LogKind) async throws {
        let harness = try await DeliveryHarness(ScriptedStore(), logs: logs)
        try await harness.create(interval: 300)
        let registry = harness.registry
        let (changes, change) = AsyncStream.makeStream(of: Void.self)
        async let changed: Void = registry.update("s") { stream in
            change.yield()
            // The change is on its way until the deletion has begun.
            while (try? registry.describe("s").status) == .active { usleep(1000) }
            stream.tags = [.init(key: "late", value: "x")]
        }
        for await _ in changes { break }
        try await registry.delete("s")
        try await changed
        #expect(registry.list(after: nil, limit: 10).names.isEmpty)
        #expect(try Folder.list(harness.folder("data/streams")).isEmpty)
        await harness.stop()
    }
}
