import Glibc
import Platform
import Records
import Synchronization
import TestSupport
import Testing

@testable import DurableLog

/// A disk of which some pages cannot be read.
@Suite struct MediaFailureTests {
    /// Pages that fail, by their file's suffix; a read fails as a whole where it touches one.
    private final class BadPages: Sendable {
        private let pages = Mutex<[(file: String, page: UInt64)]>([])

        func add(_ file: String, at offset: UInt64) {
            pages.withLock { $0.append((file, offset / 4096)) }
        }

        var fault: SystemFaults.Fault {
            { [self] call, path, bytes in
                guard call == .read, let bytes, !bytes.isEmpty else { return nil }
                return pages.withLock { pages in
                    pages.contains { bad in
                        path.hasSuffix(bad.file)
                            && bytes.overlaps(bad.page * 4096..<(bad.page + 1) * 4096)
                    }
                } ? EIO : nil
            }
        }
    }

    private static let frameBytes = 8192

    /// Where a frame stands in a segment's file.
    private func place(_ frame: Int) -> UInt64 {
        UInt64(SegmentHeader.byteCount + frame * Self.frameBytes)
    }

    private func name(_ path: String) -> String { String(path.split(separator: "/").last ?? "") }

    private func record(_ number: Int) -> [UInt8] {
        // With header and length prefix, two pages.
        [UInt8](repeating: UInt8(number + 1), count: Self.frameBytes - 64 - 4)
    }

    @Test(arguments: 1...3)
    func `a failure that passes costs nothing`(times: Int) async throws {
        let left = Atomic(0)
        let harness = try LogHarness(firstSegmentBytes: 32 * 1024, segmentBytes: 32 * 1024) {
            call,
            path,
            bytes in
            guard call == .read, path.hasSuffix(".segment"), bytes?.isEmpty == false else {
                return nil
            }
            return left.subtract(1, ordering: .relaxed).oldValue > 0 ? EIO : nil
        }
        for number in 0..<30 { _ = try await harness.append([record(number)]) }
        let before = File.retriedReads.load(ordering: .relaxed)
        for reopens in [false, true] {
            left.store(times, ordering: .relaxed)
            if reopens { try harness.reopen() }
            let (records, damaged) = try harness.read()
            #expect(records == (0..<30).map { record($0) })
            #expect(damaged.isEmpty)
        }
        #expect(File.retriedReads.load(ordering: .relaxed) > before)
    }

    @Test(arguments: [false, true])
    func `a page that cannot be read costs what it holds, and nothing else`(
        reopens: Bool
    ) async throws {
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<30 {
            let bad = BadPages()
            let harness = try LogHarness(
                firstSegmentBytes: 32 * 1024,
                segmentBytes: 32 * 1024,
                fault: bad.fault
            )
            let count = 30
            for number in 0..<count { _ = try await harness.append([record(number)]) }
            let segments = try harness.segmentFiles
            let segment = try #require(segments.randomElement(using: &generator))
            let place = UInt64.random(in: 0..<28_000, using: &generator)
            bad.add(name(segment), at: place)
            let before = harness.log.tail
            if reopens { try harness.reopen() }
            let (records, damaged) = try harness.read(to: before)
            #expect(records.count >= count - 1)
            #expect(records == (0..<count).map(record).filter { records.contains($0) })
            #expect(damaged.isEmpty == (records.count == count))
            for damage in damaged where !reopens || segment != segments.last {
                #expect(damage.reason.contains("pread failed"), "\(damage.reason)")
                // The readable part of it is kept.
                #expect(damage.bytes.count == Self.frameBytes)
                #expect(damage.bytes.contains { $0 != 0 })
            }
            // It goes on taking records, and none gets another's number.
            let receipt = try await harness.append([[1]])
            #expect(receipt.number(ofRecord: 0).value >= before.records)
            #expect(try harness.read(to: harness.log.tail).records.last == [1])
        }
    }

    @Test
    func `of a group that was written at once, a header that cannot be read costs its own frame`()
        async throws
    {
        let bad = BadPages()
        let blocked = BlockedSync(of: ".segment")
        let harness = try LogHarness { call, path, bytes in
            blocked.fault(call, path, bytes) ?? bad.fault(call, path, bytes)
        }
        _ = try await harness.append([record(0)])
        // What comes while a write is under way is one group.
        blocked.arm()
        let log = harness.log
        let batches = (0...5).map { [record($0)] }
        async let first = log.append(batches[1])
        await blocked.whenReached()
        let rest = await withTaskGroup(of: Bool.self) { group in
            for number in 2...5 {
                group.addTask { (try? await log.append(batches[number])) != nil }
            }
            while log.queue.withLock({ $0.queuedBytes }) < 4 * (Self.frameBytes - 64) {
                await Task.yield()
            }
            #expect(blocked.release())
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        _ = try await first
        #expect(rest == 4)
        let path = try #require(try harness.segmentFiles.last)
        // The header of the fourth frame, of the second in its group.
        bad.add(name(path), at: place(3))
        try harness.reopen()
        let (records, damaged) = try harness.read()
        #expect(records.count >= 4 && damaged.count == 1)
        #expect(Array(records.prefix(2)) == [record(0), record(1)])
        #expect(harness.log.tail.records == 6)
    }

    @Test func `a last frame that cannot be read is damage, and no write that tore`() async throws {
        let bad = BadPages()
        let harness = try LogHarness(fault: bad.fault)
        for number in 0..<3 { _ = try await harness.append([record(number)]) }
        let path = try #require(try harness.segmentFiles.last)
        let last = place(2)
        bad.add(name(path), at: last + 4096)
        try harness.reopen()
        #expect(harness.log.tail.records == 3)
        let (records, damaged) = try harness.read()
        #expect(records == [record(0), record(1)])
        #expect(damaged.count == 1)
        // Where its header is, nobody knows how much there was; that is told.
        bad.add(name(path), at: last)
        let found = try LogRecovery(
            folder: harness.folder("log"),
            files: SegmentFiles(maximum: 4),
            knownIdentity: nil,
            floors: []
        )
        #expect(found.lostItsEnd)
        // What is put from now on stands behind all that may have been there, and that is told as damage.
        try harness.reopen()
        _ = try await harness.append([[9]])
        let again = try harness.read(to: harness.log.tail)
        #expect(again.records == [record(0), record(1), [9]])
        #expect(again.damaged.count == 1)
    }

    @Test func `a log that is looked at is told of from end to end, and not changed`() async throws
    {
        let bad = BadPages()
        let harness = try LogHarness(
            firstSegmentBytes: 32 * 1024,
            segmentBytes: 32 * 1024,
            fault: bad.fault
        )
        for number in 0..<30 { _ = try await harness.append([record(number)]) }
        let folder = harness.folder("log")
        let whole = try LogExamination(folder: folder)
        #expect(whole.segments == 10)
        #expect(whole.records == 30 && whole.end.records == 30)
        #expect(whole.damage.isEmpty && whole.checkpoints.isEmpty)
        let files = try Folder.list(folder)
        bad.add(name(try harness.segmentFiles[1]), at: 9000)
        bad.add(".checkpoint", at: 0)
        bad.add(".checkpoint", at: UInt64(CheckpointFile.slotBytes))
        let found = try LogExamination(folder: folder)
        #expect(found.records == 29)
        #expect(found.damage.count == 1)
        #expect(found.damage[0].reason.contains("pread failed"))
        #expect(found.checkpoints.map(\.place) == [folder + "/delivery.checkpoint"])
        #expect(try Folder.list(folder) == files)
    }

    @Test func `a checkpoint of which one slot cannot be read is where the other says`()
        async throws
    {
        let bad = BadPages()
        let harness = try LogHarness(fault: bad.fault)
        for number in 0..<3 { _ = try await harness.append([record(number)]) }
        let middle = try harness.log.cut(
            from: .start,
            maximumBytes: .max,
            maximumRecords: 2,
            limit: harness.log.tail
        )
        try harness.move(to: middle)
        try harness.move(to: harness.log.tail)
        // The third of the slots, and so in the second place.
        bad.add(".checkpoint", at: UInt64(CheckpointFile.slotBytes))
        try harness.reopen()
        #expect(harness.log.checkpoint(of: LogHarness.reader) == middle)
        bad.add(".checkpoint", at: 0)
        #expect(throws: LogError.self) { try harness.reopen() }
    }
}
