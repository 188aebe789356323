import DeliveryTesting
import Glibc
import Logging
import Platform
import Records
import Synchronization
import TestSupport
import Testing

@testable import DeliveryStreams

@Suite(.timeLimit(.minutes(1))) struct StreamStoreTests {
    private static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private let folder = TemporaryFolder()

    private func stream(_ name: String, _ version: Int = 1) -> DeliveryStream {
        var stream = DeliveryStream(
            name: name,
            createTimestamp: Timestamp(milliseconds: 1000),
            destination: .s3(S3Destination(bucketARN: "arn:aws:s3:::b"))
        )
        stream.version = version
        return stream
    }

    @Test func `what is stored is there after a restart, and what is removed is not`() throws {
        var data = try DataFolder(folder("data"))
        let store = FileStreamStore(data, Self.quiet)
        #expect(try store.load().isEmpty)
        let first = try store.put(stream("a"), over: nil)
        let second = try store.put(stream("b"), over: nil)
        _ = try store.put(stream("a", 2), over: first.revision)
        try store.remove("b", second.revision)
        #expect(store.contains("a") && !store.contains("b"))
        data.release()
        data = try DataFolder(folder("data"))
        #expect(
            try FileStreamStore(data, Self.quiet).load().map(\.document.stream) == [stream("a", 2)]
        )
        data.release()
    }

    @Test func `of two changes of one revision, the first counts`() throws {
        let data = try DataFolder(folder("data"))
        defer { data.release() }
        let store = FileStreamStore(data, Self.quiet)
        let first = try store.put(stream("a"), over: nil)
        #expect(throws: StreamConflict.self) { try store.put(stream("a", 9), over: nil) }
        #expect(throws: StreamConflict.self) { try store.put(stream("b"), over: first.revision) }
        let second = try store.put(stream("a", 2), over: first.revision)
        #expect(throws: StreamConflict.self) { try store.put(stream("a", 9), over: first.revision) }
        #expect(throws: StreamConflict.self) { try store.remove("a", first.revision) }
        #expect(
            try FileStreamStore(data, Self.quiet).load().map(\.document.stream) == [stream("a", 2)]
        )
        try store.remove("a", second.revision)
        // A later stream of the name is another.
        let third = try store.put(stream("a"), over: nil)
        #expect(third.revision != first.revision)
        #expect(throws: StreamConflict.self) { try store.remove("a", second.revision) }
    }

    @Test func `a change that cannot be written leaves what was stored`() throws {
        let data = try DataFolder(folder("data"))
        defer { data.release() }
        let store = FileStreamStore(data, Self.quiet)
        let document = try store.put(stream("a"), over: nil)
        try Folder.remove(data.unfinished)
        try Folder.replaceFile(data.unfinished, with: [])
        #expect(throws: SystemError.self) { try store.put(stream("b"), over: nil) }
        #expect(throws: SystemError.self) { try store.remove("a", document.revision) }
        #expect(store.contains("a") && !store.contains("b"))
        try Folder.remove(data.unfinished)
        try Folder.create(data.unfinished)
        _ = try store.put(stream("b"), over: nil)
        try store.remove("a", document.revision)
    }

    /// A change, and a folder in which one call fails.
    enum Change: CaseIterable {
        case create
        case update
        case remove
    }

    private func make(_ change: Change, _ store: FileStreamStore, _ revision: UInt64?) throws {
        switch change {
        case .create: _ = try store.put(stream("a"), over: nil)
        case .update: _ = try store.put(stream("a", 2), over: revision)
        case .remove: try store.remove("a", revision ?? 0)
        }
    }

    /// Whichever call of a change fails: what is answered is what the next start finds, and the same change
    /// again is made.
    @Test(arguments: Change.allCases)
    func `a change that fails anywhere has happened or has not, as it is answered`(
        change: Change
    ) throws {
        var failed = 0
        for number in 0..<100 {
            let folder = TemporaryFolder()
            let data = try DataFolder(folder("data"))
            defer { data.release() }
            let store = FileStreamStore(data, Self.quiet)
            var revision: UInt64?
            if change != .create { revision = try store.put(stream("a"), over: nil).revision }
            let before = try FileStreamStore(data, Self.quiet).load().map(\.document.stream)
            let calls = Atomic(0)
            let fault = SystemFaults.install(below: data.path) { call, _, _ in
                // Reading changes nothing.
                guard ![.read, .list, .stat].contains(call) else { return nil }
                return calls.add(1, ordering: .relaxed).oldValue == number ? EIO : nil
            }
            let result = Result { try make(change, store, revision) }
            fault.remove()
            let after = try FileStreamStore(data, Self.quiet).load().map(\.document.stream)
            // One that is gone is gone, though its files may be there till the next start.
            if case .failure = result, change != .remove || store.contains("a") {
                failed += 1
                #expect(after == before, "call \(number)")
                try make(change, store, revision)
            }
            let found = try FileStreamStore(data, Self.quiet).load().map(\.document.stream)
            #expect(found == (change == .remove ? [] : [stream("a", change == .create ? 1 : 2)]))
            if calls.load(ordering: .relaxed) <= number { break }
        }
        #expect(failed >= 3)
    }

    @Test func `a data folder that another is in the place of is not written to`() throws {
        let data = try DataFolder(folder("data"))
        defer { data.release() }
        #expect(data.isInPlace)
        try data.tryWriting()
        try Folder.rename(folder("data"), to: folder("aside"))
        let other = try DataFolder(folder("data"))
        defer { other.release() }
        #expect(throws: SystemError.self) { try data.tryWriting() }
        try other.tryWriting()
    }

    @Test func `a configuration in the folder of another stream is not read as either's`() throws {
        let data = try DataFolder(folder("data"))
        defer { data.release() }
        let store = FileStreamStore(data, Self.quiet)
        _ = try store.put(stream("a"), over: nil)
        try Folder.rename(data.stream("a"), to: data.stream("b"))
        let found = try FileStreamStore(data, Self.quiet).load()
        #expect(found.map(\.document.stream) == [.unknown("b")])
        #expect(found[0].failure?.contains("rename the folder to a.stream") == true)
    }

    /// A store that another server changes.
    private final class SharedStore: StreamStore {
        private let documents = Mutex<[String: StreamDocument]>([:])

        /// Another server changes a stream.
        func change(_ name: String) { documents.withLock { $0[name]?.revision += 1 } }

        func load() -> [StoredStream] {
            documents.withLock { $0.values.map { StoredStream($0) } }
        }

        func contains(_ name: String) -> Bool { documents.withLock { $0[name] != nil } }

        func put(_ stream: DeliveryStream, over revision: UInt64?) throws -> StreamDocument {
            try documents.withLock { documents in
                guard documents[stream.name]?.revision == revision else {
                    throw StreamConflict(name: stream.name)
                }
                let new = StreamDocument(stream: stream, revision: (revision ?? 0) + 1)
                documents[stream.name] = new
                return new
            }
        }

        func remove(_ name: String, _ revision: UInt64) throws {
            try documents.withLock { documents in
                guard documents[name]?.revision == revision else {
                    throw StreamConflict(name: name)
                }
                documents[name] = nil
            }
        }
    }

    @Test func `who changes a stream that another server has changed is told so`() async throws {
        let store = SharedStore()
        let harness = try DeliveryHarness(.init(store: ScriptedStore(), streams: store))
        try await harness.create("s")
        let registry = harness.registry
        try await registry.update("s") { $0.version += 1 }
        #expect(try registry.describe("s").stream.version == 2)
        store.change("s")
        let tag = DeliveryStream.Tag(key: "k", value: nil)
        await #expect {
            try await registry.update("s") { $0.tags = [tag] }
        } throws: { error in
            (error as? FirehoseError)?.code == .concurrentModification
        }
        #expect(try registry.describe("s").stream.tags.isEmpty)
        await #expect(throws: FirehoseError.self) { try await registry.delete("s") }
        #expect(try registry.describe("s").status == .active)
        await harness.stop()
    }
}
