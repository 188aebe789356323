import DeliveryTesting
import Foundation
import Glibc
import JSON
import Platform
import Records
import TestSupport
import Testing

@testable import DeliveryStreams

/// One bad place in one stream's files, and what becomes of it and of the other stream.
@Suite(.timeLimit(.minutes(1))) struct QuarantineTests {
    /// A file of a stream with a backlog and a buffer in flight, and what is done to it.
    enum Damage: String, CaseIterable {
        case configurationIsGarbage = "stream.json garbage"
        case configurationIsUnreadable = "stream.json EIO"
        case checkpointIsGarbage = "log/delivery.checkpoint garbage"
        case checkpointIsUnreadable = "log/delivery.checkpoint EIO"
        case entryIsGarbage = "in-flight/ garbage"
        case entryIsUnreadable = "in-flight/ EIO"

        var file: String { String(rawValue.split(separator: " ")[0]) }
        var isGarbage: Bool { rawValue.hasSuffix("garbage") }
    }

    private func path(_ damage: Damage, _ harness: DeliveryHarness) throws -> String {
        let path = harness.folder("data/streams/s.stream/" + damage.file)
        guard path.hasSuffix("/") else { return path }
        return path + (try #require(try Folder.list(path).first { $0.hasSuffix(".json") }))
    }

    /// Two streams, of which "s" has a buffer that fails, are stopped; "s" is damaged.
    private func damagedHarness(
        _ damage: Damage
    ) async throws -> (DeliveryHarness, SystemFaults.Installation?) {
        let failing = ScriptedStore { _, _ in
            .failed(DeliveryFailure(code: "Busy", message: "busy"))
        }
        let harness = try await DeliveryHarness(failing)
        for name in ["s", "other"] {
            try await harness.create(name, interval: 0)
            try await harness.put([Array("of \(name) ".utf8)], to: name)
        }
        await failing.whenPuts(2)
        await harness.stop()
        let path = try path(damage, harness)
        if damage.isGarbage {
            let size = try File(path, .read).size()
            try File(path, .update).write([UInt8](repeating: 0xa5, count: Int(size)), at: 0)
            return (harness, nil)
        }
        let fault = SystemFaults.install(below: path) { call, _, _ in call == .read ? EIO : nil }
        return (harness, fault)
    }

    @Test(arguments: Damage.allCases)
    func `a stream that cannot be opened is in quarantine, and the others run`(
        damage: Damage
    ) async throws {
        let (harness, fault) = try await damagedHarness(damage)
        let store = ScriptedStore()
        try await harness.restart(store)
        defer { fault?.remove() }
        #expect(harness.registry.quarantined == ["s"])
        let described = try harness.registry.describe("s")
        #expect(described.status == .creatingFailed)
        // Where files lie is the operator's to know.
        let reason = try #require(described.failure)
        #expect(reason.contains("hydrant check") && !reason.contains(damage.file))
        #expect(harness.registry.list(after: nil, limit: 10).names == ["other", "s"])
        // Producers keep what they have; nobody changes what nobody knows.
        let put = await #expect(throws: FirehoseError.self) { try await harness.put([[1]]) }
        #expect(put?.code == .serviceUnavailable)
        let update = await #expect(throws: FirehoseError.self) {
            try await harness.registry.update("s") { $0.version += 1 }
        }
        #expect(update?.code == .resourceInUse)
        // The other one delivers and takes more.
        await store.whenPuts(1)
        try await harness.put([Array("more".utf8)], to: "other")
        await store.whenPuts(2)
        #expect(
            store.objects.values.map { String(decoding: $0, as: UTF8.self) }.sorted() == [
                "more", "of other ",
            ]
        )
        await harness.stop()
    }

    @Test func `once it is mended, a stream goes on where it was`() async throws {
        let (harness, fault) = try await damagedHarness(.entryIsUnreadable)
        try await harness.restart(ScriptedStore())
        fault?.remove()
        let store = ScriptedStore()
        try await harness.restart(store)
        #expect(harness.registry.quarantined.isEmpty)
        try await harness.eventually {
            store.puts.contains { String(decoding: $0.content, as: UTF8.self) == "of s " }
        }
        await harness.stop()
    }

    @Test(arguments: [Damage.configurationIsGarbage, .checkpointIsGarbage])
    func `a stream in quarantine can be deleted, and its name taken again`(
        damage: Damage
    ) async throws {
        let (harness, _) = try await damagedHarness(damage)
        let store = ScriptedStore()
        try await harness.restart(store)
        try await harness.registry.delete("s")
        #expect(!Folder.exists(harness.folder("data/streams/s.stream")))
        try await harness.create("s", interval: 0)
        try await harness.put([Array("new".utf8)])
        try await harness.eventually { store.objects.values.contains(Array("new".utf8)) }
        await harness.stop()
    }

    @Test func `a creation that can be neither made nor undone leaves a stream to be deleted`()
        async throws
    {
        let harness = try await DeliveryHarness(ScriptedStore())
        // Its log cannot be made, and its folder not be moved away.
        let fault = SystemFaults.install(below: harness.folder("data/streams/")) { call, path, _ in
            switch call {
            case .createFolder where path.hasSuffix("/log"): EIO
            case .rename where path.hasSuffix("/s.stream"): EIO
            default: nil
            }
        }
        let refused = await #expect(throws: FirehoseError.self) { try await harness.create() }
        fault.remove()
        #expect(refused?.code == .serviceUnavailable)
        #expect(harness.registry.quarantined == ["s"])
        #expect(try harness.registry.describe("s").status == .creatingFailed)
        try await harness.registry.delete("s")
        try await harness.create()
        try await harness.put([[1]])
        await harness.stop()
    }

    @Test func `what is said of a stream that is left behind holds none of its secrets`() {
        let destination = DestinationConfiguration(
            kind: .redshift,
            members: ["Password": "secret"]
        )
        let stream = DeliveryStream(
            name: "s",
            createTimestamp: Timestamp(milliseconds: 0),
            destination: destination
        )
        let document = StreamDocument(stream: stream, revision: 1)
        let error: any Error = StreamLeftBehind(document: document, cause: "EIO")
        #expect("\(error)" == "the stream s could neither be created nor removed again: EIO")
    }

    @Test func `what a later version wrote stops an older one`() async throws {
        let harness = try await DeliveryHarness(ScriptedStore())
        try await harness.create("s")
        await harness.stop()
        let path = harness.folder("data/streams/s.stream/stream.json")
        let text = String(decoding: try Folder.readFile(path), as: UTF8.self)
        let later = text.replacing(#""version" : 2"#, with: #""version" : 3"#)
        try Folder.replaceFile(path, with: Array(later.utf8))
        await #expect(throws: StreamFile.Failure.self) {
            try await harness.restart(ScriptedStore())
        }
        #expect(Folder.exists(path))
    }
}
