import Foundation
import Logging
import Platform
import Records
import Synchronization
import TestSupport
import Testing

@testable import DurableLog

@Suite struct StreamLogTests {
    @Test func `records come back in order, over segments and restarts`() async throws {
        let harness = try LogHarness()
        var generator = SeededGenerator(seed: 21)
        var all: [[UInt8]] = []
        for round in 0..<120 {
            let count = Int.random(in: 1...20, using: &generator)
            let batch = (0..<count).map { _ in
                generator.bytes(Int.random(in: 0...2000, using: &generator))
            }
            let receipt = try await harness.append(batch)
            #expect(receipt.number(ofRecord: 0) == RecordNumber(UInt64(all.count)))
            all += batch
            if round % 30 == 29 { try harness.reopen() }
        }
        #expect(try harness.segmentFiles.count > 4)
        let (records, damaged) = try harness.read()
        #expect(records == all)
        #expect(damaged.isEmpty)
        #expect(harness.log.tail.records == UInt64(all.count))
        #expect(harness.log.tail.bytes == UInt64(all.reduce(0) { $0 + $1.count }))
    }

    @Test func `checkpoints survive, and what they pass is let go`() async throws {
        let harness = try LogHarness()
        for number in 0..<200 {
            _ = try await harness.append([[UInt8](repeating: UInt8(number), count: 5000)])
        }
        let middle = try harness.log.cut(
            from: .start,
            maximumBytes: 700_000,
            maximumRecords: .max,
            limit: harness.log.tail
        )
        let before = try harness.segmentFiles.count
        try harness.move(to: middle)
        #expect(try harness.segmentFiles.count < before)
        try harness.reopen()
        #expect(harness.log.checkpoint(of: LogHarness.reader) == middle)
        #expect(try harness.read().records.first?.first == 140)
        try harness.move(to: harness.log.tail)
        #expect(try harness.segmentFiles.count == 1)
        #expect(harness.log.backlogBytes == 0)
    }

    @Test func `used segments serve again, and their old frames stay out of sight`() async throws {
        let harness = try LogHarness(firstSegmentBytes: 16 * 1024, segmentBytes: 32 * 1024)
        var written = 0
        for _ in 0..<20 {
            for _ in 0..<30 {
                _ = try await harness.append([[UInt8](repeating: UInt8(written % 251), count: 900)])
                written += 1
            }
            let (records, damaged) = try harness.read()
            #expect(records.count == 30)
            #expect(records.last?.first == UInt8((written - 1) % 251))
            #expect(damaged.isEmpty)
            try harness.move(to: harness.log.tail)
            try harness.reopen()
            #expect(harness.log.tail.records == UInt64(written))
        }
    }

    @Test func `a checkpoint with one torn slot goes on from the other`() async throws {
        let harness = try LogHarness()
        _ = try await harness.append([[1]])
        let first = harness.log.tail
        try harness.move(to: first)
        _ = try await harness.append([[2]])
        try harness.move(to: harness.log.tail)
        let path = harness.folder("log/delivery.checkpoint")
        // The second move wrote slot 1, as the log's creation did.
        try File(path, .update).write([UInt8](repeating: 0xff, count: 30), at: 4096 + 20)
        try harness.reopen()
        #expect(harness.log.checkpoint(of: LogHarness.reader) == first)
        #expect(try harness.read().records == [[2]])
        try File(path, .update).write([UInt8](repeating: 0xff, count: 30), at: 20)
        #expect(throws: LogError.self) { try harness.reopen() }
    }

    @Test func `a log that is opened on a copy gives no name again that its original gave`()
        async throws
    {
        let harness = try LogHarness()
        let old = try await harness.append([[1]])
        // A copy, or a state of the disk that is put back.
        let copied = try Folder.list(harness.folder("log")).map { name in
            (name, try Folder.readFile(harness.folder("log/" + name)))
        }
        let first = try await harness.append([[2]])
        for (name, content) in copied {
            try Folder.replaceFile(harness.folder("log/" + name), with: content)
        }
        try harness.reopen()
        let second = try await harness.append([[3]])
        #expect(first.number(ofRecord: 0) == second.number(ofRecord: 0))
        #expect(first.generation != second.generation)
        // What is there keeps its name.
        #expect(harness.log.generation(at: .start) == old.generation)
    }

    @Test func `records of a version without generations are named by their log`() async throws {
        let harness = try LogHarness()
        _ = try await harness.append([[1]])
        let path = try #require(try harness.segmentFiles.first)
        let header = SegmentHeader(logIdentity: harness.log.identity, base: .start, generation: 0)
        try File(path, .update).write(header.encoded, at: 0)
        try harness.reopen()
        #expect(harness.log.generation(at: .start) == harness.log.identity)
    }

    /// The outcome log's two readers: one delivers, the other only knows what was transformed.
    @Test func `a nearly full disk takes no more while what a log holds is not delivered`()
        async throws
    {
        let folder = TemporaryFolder()
        let store = try LogStore(
            spareFolder: folder("spare"),
            options: LogOptions(
                firstSegmentBytes: 64 * 1024,
                segmentBytes: 64 * 1024,
                freeBytes: { _ in 200 << 20 }
            ),
            threadCount: 1,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
        defer { store.shutDown() }
        let use = LogUse(
            readers: ["delivery", "progress"],
            isIntake: false,
            deliverer: "delivery"
        )
        let log = try store.openLog(folder("log"), for: use)
        let record = [UInt8](repeating: 1, count: 60_000)
        _ = try await log.append([record])
        try log.moveCheckpoint(of: "progress", to: log.tail)
        await #expect(throws: FirehoseError.slowDown) { try await log.append([record]) }
        try log.moveCheckpoint(of: "delivery", to: log.tail)
        _ = try await log.append([record])
        await log.close()
    }

    @Test func `nothing is acknowledged that went into a file without a name`() async throws {
        let harness = try LogHarness()
        _ = try await harness.append([[1]])
        try Folder.remove(harness.folder("log"))
        for _ in 0..<3 {
            await #expect(throws: FirehoseError.self) { try await harness.append([[2]]) }
        }
        #expect(harness.log.tail.records == 1)
    }

    @Test func `a reader that is added later holds back what is behind its mark`() async throws {
        let harness = try LogHarness(firstSegmentBytes: 16 * 1024, segmentBytes: 32 * 1024)
        for number in 0..<10 {
            _ = try await harness.append([[UInt8](repeating: UInt8(number), count: 5000)])
        }
        let middle = try harness.log.cut(
            from: .start,
            maximumBytes: .max,
            maximumRecords: 5,
            limit: harness.log.tail
        )
        try harness.move(to: middle)
        try harness.log.addReader("backup", at: middle)
        try harness.move(to: harness.log.tail)
        #expect(harness.log.checkpoint(of: "backup") == middle)
        let kept = try harness.read(from: middle, to: harness.log.tail)
        #expect(kept.damaged.isEmpty)
        #expect(kept.records.map(\.first) == [5, 6, 7, 8, 9])
    }

    @Test func `a batch may say when it arrived, and may be larger than a segment`() async throws {
        let harness = try LogHarness()
        let early = Timestamp(milliseconds: 1000)
        let batch = RecordBatch([[UInt8](repeating: 7, count: 20 * 1024 * 1024)])
        _ = await withCheckedContinuation { continuation in
            harness.log.append(batch, arrival: early) { continuation.resume(returning: $0) }
        }
        #expect(try harness.log.arrival(after: .start) == early)
        try harness.reopen()
        #expect(try harness.read().records.map(\.count) == [20 * 1024 * 1024])
    }

    @Test func `where a reader stands is told while another's checkpoint is synced`() async throws {
        let blocked = BlockedSync(of: "backup.checkpoint")
        let harness = try LogHarness(fault: blocked.fault)
        let log = harness.log
        _ = try await harness.append([[1], [2]])
        try log.addReader("backup", at: .start)
        blocked.arm()
        let threads = WorkerThreads(count: 1)
        defer { threads.close() }
        async let move: Void = threads.run { _ in
            try log.moveCheckpoint(of: "backup", to: log.tail)
        }
        await blocked.whenReached()
        #expect(log.checkpoint(of: LogHarness.reader) == .start)
        #expect(log.checkpoint(of: "backup") == .start)
        #expect(log.backlogBytes > 0)
        #expect(blocked.release())
        try await move
        #expect(log.checkpoint(of: "backup") == log.tail)
    }
}
