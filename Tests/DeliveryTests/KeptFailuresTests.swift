import DeliveryTesting
import Destinations
import Encryption
import JSON
import Platform
import Records
import TestSupport
import Testing

@testable import Delivery

@Suite struct KeptFailuresTests {
    private let folder = TemporaryFolder()
    private let generator = SystemRandomNumberGenerator()

    private func masterKeys() throws -> MasterKeys {
        try MasterKeys(lines: String(repeating: "ab", count: 32))
    }

    private func plan() throws -> ObjectPlan {
        var generator = generator
        return ObjectPlan(
            stream: "s",
            version: 1,
            sequence: 7,
            arrival: Timestamp(milliseconds: 0),
            destination: S3Destination(bucketARN: "arn:aws:s3:::bucket"),
            template: try KeyTemplate("", as: .prefix),
            errorOutputType: .openSearchFailed,
            generator: &generator
        )
    }

    private func entry() throws -> JournalEntry {
        JournalEntry(
            sequence: 7,
            start: LogMark.start,
            end: LogMark.start,
            plan: try plan(),
            records: RecordsPlan(
                destination: DestinationConfiguration(kind: .openSearch, members: [:])
            ),
            firstAttempt: Timestamp(milliseconds: 0)
        )
    }

    private func part(_ lines: [String], _ keys: MasterKeys?) throws -> Spooler.Part {
        let spooler = Spooler(folder: folder.path, compressionLevel: 1, masterKeys: keys)
        var plan = try plan()
        plan.recordDelimiter = "\n"
        let writer = try spooler.writer(plan, name: "x", isEncrypted: keys != nil)
        for line in lines { try Array(line.utf8).withUnsafeBytes { try writer.add($0) } }
        return try writer.finish(.openSearchFailed)
    }

    @Test(arguments: [false, true])
    func `what was kept is read as it was after a restart`(isEncrypted: Bool) throws {
        let keys = isEncrypted ? try masterKeys() : nil
        let journal = try InFlightJournal(folder: folder("journal"))
        let kept = try journal.keep(
            [try part(["a", "b"], keys)],
            try part(["c"], keys),
            of: try entry(),
            counts: KeptFailures.Counts(records: 9, failed: 3),
            hasGivenUp: true
        )
        let again = try InFlightJournal(folder: folder("journal"))
        let loaded = try #require(try again.load().first)
        #expect(loaded == kept)
        #expect(loaded.failures?.counts.failed == 3)
        let (parts, setAside) = try again.failures(of: loaded, keys)
        #expect(parts.map(\.records) == [2])
        #expect(try ScriptedStore.content(of: parts[0].object) == Array("a\nb\n".utf8))
        #expect(parts[0].plan.key == kept.plan.key)
        #expect(try ScriptedStore.content(of: #require(setAside).object) == Array("c\n".utf8))
        if isEncrypted {
            #expect(throws: InFlightJournal.Failure.self) { try again.failures(of: loaded, nil) }
        }
    }

    @Test func `what was kept goes with its entry`() throws {
        let journal = try InFlightJournal(folder: folder("journal"))
        _ = try journal.keep(
            [try part(["a"], nil)],
            nil,
            of: try entry(),
            counts: KeptFailures.Counts(),
            hasGivenUp: false
        )
        #expect(try Folder.list(folder("journal")).count == 2)
        try journal.remove(7)
        #expect(try Folder.list(folder("journal")).isEmpty)
    }

    @Test func `what was kept without its entry is removed at the next start`() throws {
        let journal = try InFlightJournal(folder: folder("journal"))
        try Folder.create(journal.failuresFolder(7))
        try Folder.replaceFile(journal.failuresFolder(7) + "/x", with: [1])
        #expect(try journal.resume(try journal.load(), from: LogMark.start).isEmpty)
        #expect(try Folder.list(folder("journal")).isEmpty)
    }

    @Test(arguments: [false, true])
    func `what was kept and is damaged is not passed on`(isEncrypted: Bool) throws {
        let keys = isEncrypted ? try masterKeys() : nil
        let journal = try InFlightJournal(folder: folder("journal"))
        let kept = try journal.keep(
            [try part(["a", "b"], keys)],
            nil,
            of: try entry(),
            counts: KeptFailures.Counts(),
            hasGivenUp: false
        )
        let name = try #require(kept.failures?.parts.first?.name)
        let path = journal.failuresFolder(7) + "/" + name
        var bytes = try Folder.readFile(path)
        bytes[bytes.count - 1] ^= 1
        try Folder.replaceFile(path, with: bytes)
        #expect(throws: KeptFailures.Damaged.self) { try journal.failures(of: kept, keys) }
        try Folder.remove(path)
        #expect(throws: KeptFailures.Damaged.self) { try journal.failures(of: kept, keys) }
    }

    @Test func `progress says which records are delivered`() {
        let progress = DeliveryProgress(next: 10, open: [2, 5, 9])
        let delivered = (0..<12).filter { progress.isDelivered(UInt64($0)) }
        #expect(delivered == [0, 1, 3, 4, 6, 7, 8])
    }

    @Test func `lines that are discarded are gathered anew`() throws {
        var plan = try plan()
        plan.recordDelimiter = "\n"
        let lines = FailedLines(
            Spooler(folder: folder.path, compressionLevel: 1, masterKeys: nil),
            [.openSearchFailed: plan],
            name: "x",
            isEncrypted: false
        )
        func add(_ text: String) throws {
            try Array(text.utf8).withUnsafeBytes { try lines.add($0, .openSearchFailed) }
        }
        try add("a")
        try lines.addAside([0x62], .openSearchFailed)
        lines.discard()
        try add("a")
        try add("c")
        let (parts, setAside) = try lines.finish()
        #expect(parts.map(\.records) == [2])
        #expect(try ScriptedStore.content(of: parts[0].object) == Array("a\nc\n".utf8))
        #expect(setAside == nil)
    }
}
