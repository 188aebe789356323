import Glibc
import Logging
import Platform
import Records
import Synchronization
import TestSupport
import Testing

@testable import DurableLog

/// What a log takes while nothing is appended to it: of the disk, and of the files that may be open.
@Suite struct IdleLogTests {
    private func bytesOnDisk(_ harness: LogHarness) throws -> UInt64 {
        try harness.segmentFiles.reduce(0) { try $0 + File($1, .read).size() }
    }

    /// A look for what is idle.
    private func tidy(_ harness: LogHarness) async throws {
        // A group's appends are answered before its turn ends.
        try await harness.waitForThreads()
        harness.store.tidy()
    }

    private func fill(_ harness: LogHarness) async throws {
        for number in 0..<40 {
            _ = try await harness.append([[UInt8](repeating: UInt8(number), count: 20_000)])
        }
    }

    @Test func `an idle log gives its space back once all is delivered`() async throws {
        let harness = try LogHarness()
        try await fill(harness)
        try await tidy(harness)
        try await tidy(harness)
        #expect(try harness.read().records.count == 40, "nothing is delivered yet")
        try harness.move(to: harness.log.tail)
        try await tidy(harness)
        #expect(try bytesOnDisk(harness) == 64 * 1024)
        #expect(try harness.segmentFiles.count == 1)
        #expect(try Folder.list(harness.folder("spare")).count <= Limits.maximumSpareSegments)
    }

    @Test func `a log that is in use keeps its space`() async throws {
        let harness = try LogHarness()
        try await fill(harness)
        try harness.move(to: harness.log.tail)
        let before = try bytesOnDisk(harness)
        try await tidy(harness)
        #expect(try bytesOnDisk(harness) == before, "something was appended since the last look")
    }

    @Test func `numbers go on behind what was given back, also over a restart`() async throws {
        let harness = try LogHarness()
        for round in 0..<4 {
            try await fill(harness)
            #expect(try harness.read().records.count == 40)
            try harness.move(to: harness.log.tail)
            let tail = harness.log.tail
            try await tidy(harness)
            try await tidy(harness)
            if round % 2 == 1 { try harness.reopen() }
            #expect(harness.log.tail == tail)
            let receipt = try await harness.append([[1]])
            #expect(receipt.number(ofRecord: 0) == RecordNumber(tail.records))
            #expect(try harness.read().records == [[1]])
            try harness.move(to: harness.log.tail)
        }
    }

    @Test func `segments grow again with what a log gets`() async throws {
        let harness = try LogHarness()
        try await fill(harness)
        try harness.move(to: harness.log.tail)
        try await tidy(harness)
        try await tidy(harness)
        try await fill(harness)
        let sizes = try harness.segmentFiles.sorted().map { try File($0, .read).size() }
        #expect(sizes.first == 64 * 1024)
        #expect(sizes.dropFirst().allSatisfy { $0 == 256 * 1024 })
    }

    @Test func `an idle log has no file open`() async throws {
        let harness = try LogHarness()
        try await fill(harness)
        #expect(harness.openFiles > 0)
        try harness.move(to: harness.log.tail)
        try await tidy(harness)
        try await tidy(harness)
        #expect(harness.openFiles == 0)
        _ = try await harness.append([[1]])
        #expect(try harness.read().records == [[1]])
        #expect(harness.openFiles == 1)
    }

    @Test func `many logs take turns with few open files`() async throws {
        let folder = TemporaryFolder()
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let store = try LogStore(
            spareFolder: folder("spare"),
            options: LogOptions(firstSegmentBytes: 64 * 1024, segmentBytes: 256 * 1024),
            maximumOpenSegments: 4,
            logger: logger
        )
        defer { store.shutDown() }
        let logs = try (0..<20).map { number in
            try store.openLog(folder("log\(number)"), for: LogUse(readers: ["reader"]))
        }
        for round in 0..<3 {
            for (number, log) in logs.enumerated() {
                _ = try await log.append([[UInt8(number), UInt8(round)]])
            }
        }
        for (number, log) in logs.enumerated() {
            var records: [[UInt8]] = []
            try log.read(from: .start, to: log.tail) { chunk in
                guard case .records(let chunk) = chunk else { return }
                chunk.forEachRecord { record, _ in records.append(Array(record)) }
            }
            #expect(records == (0..<3).map { [UInt8(number), UInt8($0)] })
            #expect(logs[0].files.openCount <= 4)
        }
    }

    @Test func `a segment that was removed under an open log is noticed after it was closed`()
        async throws
    {
        let harness = try LogHarness()
        _ = try await harness.append([[1]])
        try await tidy(harness)
        try await tidy(harness)
        for path in try harness.segmentFiles { try Folder.remove(path) }
        // What is appended next goes into a segment that has a name.
        await #expect(throws: FirehoseError.self) { _ = try await harness.append([[2]]) }
        _ = try await harness.append([[3]])
        #expect(try harness.segmentFiles.count == 1)
    }

    @Test func `nothing is acknowledged into a segment that another file has taken the place of`()
        async throws
    {
        let harness = try LogHarness()
        _ = try await harness.append([[1]])
        let path = try #require(try harness.segmentFiles.first)
        // As a program that restores a copy does.
        try Folder.replaceFile(path, with: Folder.readFile(path))
        await #expect(throws: FirehoseError.self) { _ = try await harness.append([[2]]) }
        _ = try await harness.append([[3]])
        try harness.reopen()
        #expect(try harness.read().records == [[1], [3]])
    }

    /// Each system call of it in turn, with a crash behind it or without.
    @Test(arguments: [false, true])
    func `a failure while space is given back loses nothing`(crashes: Bool) async throws {
        for number in 0..<40 {
            let left = Atomic(-1)
            let harness = try LogHarness { call, _, _ in
                guard left.load(ordering: .relaxed) >= 0 else { return nil }
                return left.subtract(1, ordering: .relaxed).oldValue == 0 ? EIO : nil
            }
            try await fill(harness)
            try harness.move(to: harness.log.tail)
            let tail = harness.log.tail
            try await tidy(harness)
            left.store(number, ordering: .relaxed)
            try await tidy(harness)
            let wasLast = left.exchange(-1, ordering: .relaxed) >= 0
            if crashes { try harness.reopen() }
            #expect(harness.log.tail == tail)
            let receipt = try await harness.append([[1], [2]])
            #expect(receipt.number(ofRecord: 0) == RecordNumber(tail.records))
            try harness.reopen()
            #expect(try harness.read().records == [[1], [2]])
            if wasLast {
                #expect(number > 4, "it makes calls")
                return
            }
        }
        Issue.record("it makes calls without end")
    }

    @Test func `a disk that is full leaves an idle log the place that it has`() async throws {
        let isFull = Atomic(false)
        let harness = try LogHarness { call, _, _ in
            call == .allocate && isFull.load(ordering: .relaxed) ? ENOSPC : nil
        }
        try await fill(harness)
        try harness.move(to: harness.log.tail)
        isFull.store(true, ordering: .relaxed)
        for _ in 0..<3 { try await tidy(harness) }
        _ = try await harness.append([[1]])
        #expect(try harness.read().records == [[1]])
    }

    @Test func `a log that is closed is left alone`() async throws {
        let harness = try LogHarness()
        try await fill(harness)
        try harness.move(to: harness.log.tail)
        try await tidy(harness)
        await harness.log.close()
        try Folder.remove(harness.folder("log"))
        // As another log of the name has.
        try Folder.create(harness.folder("log"))
        try await tidy(harness)
        #expect(try Folder.list(harness.folder("log")).isEmpty)
    }

    /// All that a log does, in any order, with looks for idle ones in between.
    @Test(arguments: 0..<40)
    func `nothing is lost in whatever order`(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        let harness = try LogHarness(firstSegmentBytes: 16 * 1024, segmentBytes: 64 * 1024)
        var waiting: [[UInt8]] = []
        var count: UInt64 = 0
        for _ in 0..<60 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<4:
                let batch = (0..<Int.random(in: 1...5, using: &random)).map { _ in
                    random.bytes(Int.random(in: 0...6000, using: &random))
                }
                let receipt = try await harness.append(batch)
                #expect(receipt.number(ofRecord: 0) == RecordNumber(count))
                waiting += batch
                count += UInt64(batch.count)
            case 4..<7:
                let mark = try harness.log.cut(
                    from: harness.log.checkpoint(of: LogHarness.reader),
                    maximumBytes: .random(in: 0...60_000, using: &random),
                    maximumRecords: .max,
                    limit: harness.log.tail
                )
                let (records, damaged) = try harness.read(to: mark)
                #expect(damaged.isEmpty)
                #expect(records == Array(waiting.prefix(records.count)))
                waiting.removeFirst(records.count)
                try harness.move(to: mark)
            case 7: try harness.reopen()
            default: try await tidy(harness)
            }
        }
        let (records, damaged) = try harness.read()
        #expect(records == waiting)
        #expect(damaged.isEmpty)
    }
}
