import Glibc
import Platform
import Records
import Synchronization
import TestSupport
import Testing

@testable import DurableLog

/// A disk of which some sectors cannot be read.
@Suite struct MediaFailureTests {
    /// Sectors that fail, by their file's suffix; a read fails as a whole where it touches one.
    private final class BadSectors: Sendable {
        private let sectors = Mutex<[(file: String, sector: UInt64)]>([])

        func add(_ file: String, at offset: UInt64) {
            sectors.withLock { $0.append((file, offset / 512)) }
        }

        var fault: SystemFaults.Fault {
            { [self] call, path, bytes in
                guard call == .read, let bytes, !bytes.isEmpty else { return nil }
                return sectors.withLock { sectors in
                    sectors.contains { bad in
                        path.hasSuffix(bad.file)
                            && bytes.overlaps(bad.sector * 512..<(bad.sector + 1) * 512)
                    }
                } ? EIO : nil
            }
        }
    }

    private func name(_ path: String) -> String { String(path.split(separator: "/").last ?? "") }

    private func record(_ number: Int) -> [UInt8] {
        [UInt8](repeating: UInt8(number), count: 3000)
    }

    @Test(arguments: [false, true])
    func `a sector that cannot be read costs what it holds, and nothing else`(
        reopens: Bool
    ) async throws {
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<30 {
            let bad = BadSectors()
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
            // A frame is 3072 bytes, six sectors: a bad one lies in one or two of them.
            #expect(records.count >= count - 2)
            #expect(records == (0..<count).map(record).filter { records.contains($0) })
            #expect(damaged.isEmpty == (records.count == count))
            for damage in damaged where !reopens || segment != segments.last {
                #expect(damage.reason.contains("pread failed"), "\(damage.reason)")
                // The readable part of it is kept.
                #expect(damage.bytes.contains { $0 != 0 })
            }
            // It goes on taking records, and none gets another's number.
            let receipt = try await harness.append([[1]])
            #expect(receipt.number(ofRecord: 0).value >= UInt64(records.count))
            #expect(try harness.read(to: harness.log.tail).records.last == [1])
        }
    }

    @Test func `a last frame that cannot be read is damage, and no write that tore`() async throws {
        let bad = BadSectors()
        let harness = try LogHarness(fault: bad.fault)
        for number in 0..<3 { _ = try await harness.append([record(number)]) }
        let path = try #require(try harness.segmentFiles.last)
        let last = UInt64(SegmentHeader.byteCount) + 2 * 3072
        bad.add(name(path), at: last + 1024)
        try harness.reopen()
        #expect(harness.log.tail.records == 3)
        let (records, damaged) = try harness.read()
        #expect(records == [record(0), record(1)])
        #expect(damaged.count == 1)
        // Where its header is, nobody knows how much there was; that is told.
        bad.add(name(path), at: last)
        let found = try LogRecovery(folder: harness.folder("log"), knownIdentity: nil, floors: [])
        #expect(found.lostItsEnd)
    }

    @Test func `a log that is looked at is told of from end to end, and not changed`() async throws
    {
        let bad = BadSectors()
        let harness = try LogHarness(
            firstSegmentBytes: 32 * 1024,
            segmentBytes: 32 * 1024,
            fault: bad.fault
        )
        for number in 0..<30 { _ = try await harness.append([record(number)]) }
        let folder = harness.folder("log")
        let whole = try LogExamination(folder: folder)
        #expect(whole.segments == 4)
        #expect(whole.records == 30 && whole.waiting == 30)
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
        let bad = BadSectors()
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
