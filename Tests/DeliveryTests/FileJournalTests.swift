import DeliveryTesting
import Destinations
import Encryption
import Foundation
import JSON
import Platform
import Records
import TestSupport
import Testing

@testable import Delivery

@Suite struct FileJournalTests {
    private let folder = TemporaryFolder()
    private let threads = WorkerThreads(count: 1)

    private func masterKeys() throws -> MasterKeys {
        try MasterKeys(lines: String(repeating: "ab", count: 32))
    }

    private func journal(_ keys: MasterKeys? = nil) throws -> FileJournal {
        try FileJournal(folder: folder("journal"), threads: threads, masterKeys: keys)
    }

    private func mark(_ number: UInt64) -> LogMark {
        LogMark(position: LogPosition(offset: number), records: number, bytes: number)
    }

    private func entry(_ sequence: UInt64 = 7) throws -> JournalEntry {
        var generator = SeededGenerator(seed: sequence)
        let plan = ObjectPlan(
            stream: "s",
            version: 1,
            sequence: sequence,
            arrival: Timestamp(milliseconds: 0),
            destination: S3Destination(bucketARN: "arn:aws:s3:::bucket"),
            template: try KeyTemplate("", as: .prefix),
            errorOutputType: .openSearchFailed,
            generator: &generator
        )
        return JournalEntry(
            sequence: sequence,
            start: mark(sequence - 7),
            end: mark(sequence - 6),
            plan: plan,
            records: RecordsPlan(
                destination: DestinationConfiguration(kind: .openSearch, members: [:])
            ),
            firstAttempt: Timestamp(milliseconds: 0)
        )
    }

    private func failed(_ number: UInt64, isSetAside: Bool = false) -> FailedRecord {
        FailedRecord(
            number: RecordNumber(number),
            failure: DeliveryFailure(code: "Code.\(number)", message: "why \(number), Zürich"),
            attempts: Int(number) + 1,
            endedAt: Timestamp(milliseconds: 1000 + Int64(number)),
            isSetAside: isSetAside
        )
    }

    private func spooled(
        _ records: [FailedRecord],
        _ keys: MasterKeys? = nil
    ) throws -> SpooledObject {
        let spooler = Spooler(folder: folder.path, compressionLevel: 1, masterKeys: keys)
        let spool = try FailureSpool(spooler, name: "x", isEncrypted: keys != nil)
        try spool.add(records)
        return try spool.finish()
    }

    private func all(_ content: KeptContent) throws -> [FailedRecord] {
        guard case .records(var records) = content else { return [] }
        var all: [FailedRecord] = []
        while let next = try records.next() { all.append(next) }
        return all
    }

    @Test(arguments: [false, true])
    func `failed records are read as they were after a restart`(isEncrypted: Bool) async throws {
        let keys = isEncrypted ? try masterKeys() : nil
        // More than a piece of the spool, and more than a chunk of an encrypted file.
        let records = (0..<4000).map { failed(UInt64($0) * 3, isSetAside: $0 % 7 == 0) }
        let first = try journal(keys)
        _ = try await first.propose(try entry())
        let summary = FailureSummary(records: 9, failed: 3, hasGivenUp: true)
        try await first.keep(try spooled(records, keys), summary, of: 7)
        let again = try journal(keys)
        let loaded = try #require(try again.load().first)
        #expect(loaded.version == 3)
        #expect(loaded.kept?.summary == summary)
        #expect(try all(try await again.kept(of: 7)) == records)
        guard isEncrypted else { return }
        let name = try #require(loaded.kept?.name)
        let path = folder("journal/000000000007.failed/") + name
        let bytes = String(decoding: try Folder.readFile(path), as: UTF8.self)
        #expect(!bytes.contains("why"))
        let without = try journal()
        _ = try without.load()
        await #expect(throws: FileJournal.Failure.self) { _ = try await without.kept(of: 7) }
    }

    @Test(arguments: [false, true])
    func `failed records that are damaged or missing are told from others`(
        isEncrypted: Bool
    ) async throws {
        let keys = isEncrypted ? try masterKeys() : nil
        let journal = try journal(keys)
        _ = try await journal.propose(try entry())
        try await journal.keep(try spooled([failed(1)], keys), FailureSummary(), of: 7)
        let kept = folder("journal/000000000007.failed/")
        let path = kept + (try #require(try Folder.list(kept).first))
        var bytes = try Folder.readFile(path)
        bytes[bytes.count - 1] ^= 1
        try Folder.replaceFile(path, with: bytes)
        await #expect(throws: KeptDamage.self) { _ = try await journal.kept(of: 7) }
        try Folder.remove(path)
        await #expect(throws: KeptDamage.self) { _ = try await journal.kept(of: 7) }
    }

    @Test func `what was kept goes with its entry`() async throws {
        let journal = try journal()
        _ = try await journal.propose(try entry())
        try await journal.keep(try spooled([failed(1)]), FailureSummary(), of: 7)
        #expect(try Folder.list(folder("journal")).count == 2)
        try await journal.forget([7])
        #expect(try Folder.list(folder("journal")).isEmpty)
    }

    @Test func `what was kept without its entry is removed at the next start`() throws {
        let journal = try journal()
        let path = folder("journal/000000000007.failed")
        try Folder.create(path)
        try Folder.replaceFile(path + "/x", with: [1])
        _ = try journal.load()
        #expect(try journal.resume(from: .start).isEmpty)
        #expect(try Folder.list(folder("journal")).isEmpty)
    }

    @Test func `entries that the checkpoint has passed are forgotten, and gaps are refused`()
        async throws
    {
        let first = try journal()
        for sequence in 7...9 { _ = try await first.propose(try entry(UInt64(sequence))) }
        let again = try journal()
        #expect(try again.load().count == 3)
        #expect(try again.resume(from: mark(1)).map(\.sequence) == [8, 9])
        try await again.forget([8])
        let third = try journal()
        _ = try third.load()
        #expect(throws: FileJournal.Failure.self) { try third.resume(from: mark(1)) }
    }

    @Test func `notes are there after a restart`() async throws {
        let first = try journal()
        _ = try await first.propose(try entry())
        try await first.note(.progress(DeliveryProgress(next: 5, open: [3])), of: 7)
        try await first.note(.settled, of: 7)
        let loaded = try #require(try journal().load().first)
        #expect(loaded.progress == DeliveryProgress(next: 5, open: [3]))
        #expect(loaded.isSettled == true)
    }

    @Test func `an entry of a later format is refused in words`() async throws {
        let first = try journal()
        var entry = try entry()
        entry.version = 4
        _ = try await first.propose(entry)
        #expect {
            _ = try journal().load()
        } throws: { error in
            "\(error)".contains("is of format 4, later than 3")
        }
    }

    @Test func `objects that a version before kept are read`() async throws {
        let content = Array("{}\n".utf8)
        let spooler = Spooler(folder: folder.path, compressionLevel: 1, masterKeys: nil)
        var plan = try entry().plan
        plan.recordDelimiter = "\n"
        let writer = try spooler.writer(plan, name: "x", isEncrypted: false)
        try content.dropLast().withUnsafeBytes { try writer.add($0) }
        let object = try writer.finish(.openSearchFailed).object
        var old = try entry()
        let type = ErrorOutputType.openSearchFailed.rawValue
        old.failures = KeptFailures(
            parts: [
                .init(
                    type: type,
                    isSetAside: false,
                    records: 1,
                    dataBytes: 2,
                    byteCount: 3,
                    sha256: object.sha256,
                    name: type
                )
            ],
            counts: .init(records: 9, failed: 1),
            hasGivenUp: true
        )
        let journal = try journal()
        _ = try await journal.propose(old)
        try Folder.create(folder("journal/000000000007.failed"))
        try Folder.replaceFile(folder("journal/000000000007.failed/") + type, with: content)
        guard case .objects(let parts, nil) = try await journal.kept(of: 7) else {
            Issue.record("objects are what was kept")
            return
        }
        #expect(parts.map(\.records) == [1])
        #expect(try ScriptedStore.content(of: parts[0].object) == content)
        #expect(old.failures?.summary.hasGivenUp == true)
    }
}
