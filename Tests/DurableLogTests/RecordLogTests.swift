import DeliveryTesting
import Records
import Synchronization
import TestSupport
import Testing

/// What every log must do, whatever it is kept in.
@Suite(.timeLimit(.minutes(2))) struct RecordLogTests {
    @Test(arguments: LogKind.allCases)
    func `records come back in order, with the numbers of their receipts, over restarts`(
        kind: LogKind
    ) async throws {
        let harness = try RecordLogHarness(kind)
        var generator = SeededGenerator(seed: 31)
        var all: [RecordLogHarness.Record] = []
        var bytes = 0
        for round in 0..<60 {
            let batch = (0..<Int.random(in: 1...20, using: &generator)).map { _ in
                generator.bytes(Int.random(in: 0...2000, using: &generator))
            }
            let next = harness.log.nextRecord
            let receipt = try await harness.append(batch)
            #expect(receipt.recordCount == batch.count)
            #expect(receipt.number(ofRecord: 0) >= next)
            for (index, data) in batch.enumerated() {
                all.append(.init(number: receipt.number(ofRecord: index), data: data))
                bytes += data.count
            }
            #expect(harness.log.nextRecord > all[all.count - 1].number)
            if round % 20 == 19 {
                let identity = harness.log.identity
                try await harness.reopen()
                #expect(harness.log.identity == identity)
            }
        }
        let read = try harness.read()
        #expect(read == all)
        #expect(zip(read, read.dropFirst()).allSatisfy { $0.number < $1.number })
        let start = harness.log.checkpoint(of: RecordLogHarness.reader)
        #expect(harness.log.tail.records - start.records == UInt64(all.count))
        #expect(harness.log.tail.bytes - start.bytes == UInt64(bytes))
    }

    @Test(arguments: LogKind.allCases)
    func `appends at the same time all get in, each batch whole and in order`(
        kind: LogKind
    ) async throws {
        let harness = try RecordLogHarness(kind)
        let log = harness.log
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<8 {
                group.addTask {
                    for number in 0..<30 {
                        let mark = [UInt8(writer), UInt8(number)]
                        _ = try await log.append([mark + [0], mark + [1], mark + [2]])
                    }
                }
            }
            try await group.waitForAll()
        }
        let records = try harness.read().map(\.data)
        #expect(records.count == 8 * 30 * 3)
        for start in stride(from: 0, to: records.count, by: 3) {
            #expect((0..<3).allSatisfy { records[start + $0][2] == UInt8($0) })
            #expect(records[start][..<2] == records[start + 2][..<2])
        }
        for writer in 0..<8 {
            let numbers = records.filter { $0[0] == writer && $0[2] == 0 }.map { $0[1] }
            #expect(numbers == Array(0..<30))
        }
    }

    @Test(arguments: LogKind.allCases)
    func `batches are durable in the order in which they came`(kind: LogKind) async throws {
        let harness = try RecordLogHarness(kind)
        let order = Mutex<[UInt8]>([])
        for number in 0..<UInt8(50) {
            harness.log.append(RecordBatch([[number]])) { _ in order.withLock { $0.append(number) }
            }
        }
        await harness.log.close()
        #expect(order.withLock { $0 } == Array(0..<50))
        #expect(try harness.read().map(\.data) == (0..<50).map { [$0] })
    }

    // MARK: Cuts

    @Test(arguments: LogKind.allCases)
    func `a log is cut at any record, and the cuts join without a gap`(
        kind: LogKind
    ) async throws {
        let harness = try RecordLogHarness(kind)
        var generator = SeededGenerator(seed: 32)
        for _ in 0..<60 {
            let batch = (0..<Int.random(in: 1...30, using: &generator)).map { _ in
                generator.bytes(Int.random(in: 0...900, using: &generator))
            }
            _ = try await harness.append(batch)
        }
        let all = try harness.read()
        let bounds: [(bytes: UInt64, records: UInt64)] = [
            (1, .max), (500, .max), (4000, 7), (50_000, .max), (.max, 1), (.max, 13), (.max, .max),
        ]
        for bound in bounds {
            var mark = harness.log.checkpoint(of: RecordLogHarness.reader)
            var read: [RecordLogHarness.Record] = []
            while mark != harness.log.tail {
                let end = try harness.cut(mark, bytes: bound.bytes, records: bound.records)
                let part = try harness.read(from: mark, to: end)
                let bytes = UInt64(part.reduce(0) { $0 + $1.data.count })
                #expect(bytes <= bound.bytes || part.filter { !$0.data.isEmpty }.count == 1)
                #expect(UInt64(part.count) <= bound.records)
                #expect(end.records == mark.records + UInt64(part.count))
                #expect(end.bytes == mark.bytes + bytes)
                #expect(mark.position < end.position)
                read += part
                mark = end
            }
            #expect(read == all)
        }
    }

    @Test(arguments: LogKind.allCases)
    func `a cut ends at its limit, in a batch or behind it`(kind: LogKind) async throws {
        let harness = try RecordLogHarness(kind)
        _ = try await harness.append([[1], [], [], [2], []])
        _ = try await harness.append([[], [3]])
        let start = harness.log.checkpoint(of: RecordLogHarness.reader)
        for count in 1...7 as ClosedRange<UInt64> {
            let limit = try harness.cut(start, records: count)
            #expect(limit.records - start.records == count)
            #expect(try harness.cut(start, limit: limit) == limit)
            #expect(try harness.read(from: start, to: limit).count == Int(count))
            #expect(try harness.read(from: limit).count == 7 - Int(count))
        }
        #expect(try harness.read(from: harness.log.tail).isEmpty)
    }

    // MARK: Readers

    @Test(arguments: LogKind.allCases)
    func `who waits for records or bytes is woken once`(kind: LogKind) async throws {
        let harness = try RecordLogHarness(kind)
        let log = harness.log
        let calls = Mutex([0, 0, 0])
        let start = log.tail
        log.wake("a", atRecords: start.records + 1, orBytes: .max) {
            calls.withLock { $0[2] += 1 }
        }
        // Of two calls for a reader, the later one holds; another reader waits beside it.
        log.wake("a", atRecords: start.records + 3, orBytes: .max) {
            calls.withLock { $0[0] += 1 }
        }
        log.wake("b", atRecords: .max, orBytes: start.bytes + 1) { calls.withLock { $0[1] += 1 } }
        _ = try await harness.append([[1], [2]])
        #expect(calls.withLock { $0 } == [0, 1, 0])
        _ = try await harness.append([[3]])
        #expect(calls.withLock { $0 } == [1, 1, 0])
        _ = try await harness.append([[4]])
        #expect(calls.withLock { $0 } == [1, 1, 0])
        log.wake("a", atRecords: .max, orBytes: start.bytes + 4) { calls.withLock { $0[0] += 1 } }
        #expect(calls.withLock { $0 } == [2, 1, 0])
    }

    @Test(arguments: LogKind.allCases)
    func `checkpoints survive, and what all readers have passed counts no more`(
        kind: LogKind
    ) async throws {
        let harness = try RecordLogHarness(kind)
        for number in 0..<10 as Range<UInt8> { _ = try await harness.append([[number], [number]]) }
        let whole = harness.log.backlogBytes
        let start = harness.log.checkpoint(of: RecordLogHarness.reader)
        let middle = try harness.cut(start, records: 9)
        try harness.log.moveCheckpoint(of: RecordLogHarness.reader, to: middle)
        #expect(harness.log.checkpoint(of: RecordLogHarness.reader) == middle)
        #expect(harness.log.backlogBytes < whole)
        try await harness.reopen()
        #expect(harness.log.checkpoint(of: RecordLogHarness.reader) == middle)
        #expect(try harness.read(from: middle).map(\.data).first == [4])
        #expect(try harness.read(from: middle).count == 11)
        try harness.log.moveCheckpoint(of: RecordLogHarness.reader, to: harness.log.tail)
        #expect(harness.log.backlogBytes == 0)
        try await harness.reopen()
        #expect(harness.log.checkpoint(of: RecordLogHarness.reader) == harness.log.tail)
        _ = try await harness.append([[77]])
        #expect(try harness.read().map(\.data) == [[77]])
    }

    @Test(arguments: LogKind.allCases)
    func `a reader that is added later holds back what is behind its mark`(
        kind: LogKind
    ) async throws {
        let harness = try RecordLogHarness(kind)
        let log = harness.log
        for number in 0..<10 as Range<UInt8> { _ = try await harness.append([[number]]) }
        let start = log.checkpoint(of: RecordLogHarness.reader)
        let middle = try harness.cut(start, records: 5)
        try log.moveCheckpoint(of: RecordLogHarness.reader, to: middle)
        // It begins where the slowest is, not before.
        try log.addReader("backup", at: start)
        #expect(log.checkpoint(of: "backup") == middle)
        try log.addReader("backup", at: log.tail)
        #expect(log.checkpoint(of: "backup") == middle)
        try log.moveCheckpoint(of: RecordLogHarness.reader, to: log.tail)
        #expect(log.backlogBytes > 0)
        #expect(try harness.read(from: middle).map(\.data) == (5..<10).map { [$0] })
        log.removeReader("backup")
        #expect(log.backlogBytes == 0)
        // Of one that comes back, what it was at before is of no matter.
        try log.addReader("backup", at: log.tail)
        #expect(log.checkpoint(of: "backup") == log.tail)
    }

    // MARK: Generations

    @Test(arguments: LogKind.allCases)
    func `records keep the generation that they were answered with, and each opening has its own`(
        kind: LogKind
    ) async throws {
        let harness = try RecordLogHarness(kind)
        var answered: [UInt64] = []
        for _ in 0..<3 {
            let receipt = try await harness.append([[1], [2]])
            answered += [receipt.generation, receipt.generation]
            try await harness.reopen()
        }
        #expect(Set(answered).count == 3)
        var found: [UInt64] = []
        let (start, end) = (harness.log.checkpoint(of: RecordLogHarness.reader), harness.log.tail)
        try harness.log.read(from: start, to: end) { chunk in
            guard case .records(let records) = chunk else { return }
            found += Array(repeating: records.generation, count: records.count)
        }
        #expect(found == answered)
        #expect(harness.log.generation(at: start) == answered[0])
        #expect(harness.log.generation(before: end) == answered[5])
    }

    // MARK: Arrival, bounds, the end

    @Test(arguments: LogKind.allCases)
    func `arrival stamps are what the clock says, and may be given`(kind: LogKind) async throws {
        let harness = try RecordLogHarness(kind)
        let start = harness.log.tail
        let early = harness.time.now() + .seconds(-60)
        _ = try await harness.append([[1]], arrival: early)
        let second = harness.log.tail
        _ = try await harness.append([[2]])
        let third = harness.log.tail
        _ = try await harness.append([[3]], arrival: early)
        #expect(try harness.log.arrival(after: start) == early)
        #expect(try harness.log.arrival(after: second) == harness.time.now())
        // Whoever puts while the clock is wrong does so for itself alone.
        #expect(try harness.log.arrival(after: third) == early)
        #expect(try harness.log.arrival(after: harness.log.tail) == nil)
    }

    @Test(arguments: LogKind.allCases)
    func `at its bound a log says slow down, and goes on when there is room`(
        kind: LogKind
    ) async throws {
        let harness = try RecordLogHarness(kind, maximumLogBytes: 10_000)
        for _ in 0..<10 { _ = try await harness.append([[UInt8](repeating: 1, count: 1000)]) }
        await #expect(throws: FirehoseError.slowDown) { try await harness.append([[1]]) }
        try harness.log.moveCheckpoint(of: RecordLogHarness.reader, to: harness.log.tail)
        _ = try await harness.append([[1]])
    }

    @Test(arguments: LogKind.allCases)
    func `after close nothing is taken, and all that was taken is there`(
        kind: LogKind
    ) async throws {
        let harness = try RecordLogHarness(kind)
        _ = try await harness.append([[1]])
        await harness.log.close()
        await #expect(throws: FirehoseError.self) { try await harness.append([[2]]) }
        #expect(try harness.read().map(\.data) == [[1]])
        await harness.log.close()
    }

    @Test(arguments: LogKind.allCases)
    func `a log that is removed is gone, and another of its name is another`(
        kind: LogKind
    ) async throws {
        let harness = try RecordLogHarness(kind)
        let name = harness.name
        _ = try await harness.append([[1]])
        let identity = harness.log.identity
        #expect(harness.logs.exists(name))
        await harness.log.close()
        try harness.logs.remove(name)
        #expect(!harness.logs.exists(name))
        try harness.logs.remove(name)
        try await harness.reopen()
        #expect(harness.log.identity != identity)
        #expect(try harness.read().isEmpty)
    }

    @Test(arguments: LogKind.allCases)
    func `without a master key, encryption is refused in AWS's words`(kind: LogKind) async throws {
        let harness = try RecordLogHarness(kind)
        let failure = try #require(harness.logs.masterKeyFailure)
        #expect(failure.code == .noMasterKey)
        #expect(throws: FirehoseError(failure)) { try harness.log.setEncryption(true) }
        try harness.log.setEncryption(false)
        #expect(!harness.log.isEncryptionInUse)
        #expect(harness.log.encryptionFailure == nil)
        #expect(harness.logs.encryptionFailure(of: harness.name) == nil)
        #expect(try await !harness.append([[1]]).isEncrypted)
    }
}

/// A log of any kind, which can be closed and opened again.
final class RecordLogHarness {
    /// A record as it was read.
    struct Record: Equatable {
        var number: RecordNumber
        var data: [UInt8]
    }

    static let reader = "delivery"
    let folder = TemporaryFolder()
    let time = ManualTime()
    private let all: TestLogs
    private(set) var logs: any RecordLogs
    private(set) var log: any RecordLog

    init(_ kind: LogKind, maximumLogBytes: UInt64 = .max) throws {
        all = TestLogs(
            kind,
            spareFolder: folder("spare"),
            time: time,
            maximumLogBytes: maximumLogBytes
        )
        logs = try all.start()
        log = try logs.open(folder("log"), for: LogUse(readers: [Self.reader]))
    }

    deinit { all.stop() }

    var name: String { folder("log") }

    func reopen() async throws {
        await log.close()
        all.stop()
        logs = try all.start()
        log = try logs.open(name, for: LogUse(readers: [Self.reader]))
    }

    func append(_ records: [[UInt8]], arrival: Timestamp? = nil) async throws -> AppendReceipt {
        try await log.append(records, arrival: arrival)
    }

    func cut(
        _ mark: LogMark,
        bytes: UInt64 = .max,
        records: UInt64 = .max,
        limit: LogMark? = nil
    ) throws -> LogMark {
        try log.cut(
            from: mark,
            maximumBytes: bytes,
            maximumRecords: records,
            limit: limit ?? log.tail
        )
    }

    /// What lies between two marks, by default the checkpoint and the end.
    func read(from mark: LogMark? = nil, to end: LogMark? = nil) throws -> [Record] {
        var records: [Record] = []
        try log.read(
            from: mark ?? log.checkpoint(of: Self.reader),
            to: end ?? log.tail
        ) { chunk in
            switch chunk {
            case .records(let chunk):
                let before = records.count
                chunk.forEachRecord { data, number in
                    records.append(Record(number: number, data: Array(data)))
                }
                #expect(records.count - before == chunk.count)
            case .damaged(let damage): Issue.record("damaged: \(damage)")
            }
        }
        return records
    }
}

extension RecordLog {
    /// Appends and waits for the answer.
    fileprivate func append(
        _ records: [[UInt8]],
        arrival: Timestamp? = nil
    ) async throws -> AppendReceipt {
        try await withCheckedThrowingContinuation { continuation in
            append(RecordBatch(records), arrival: arrival) { continuation.resume(with: $0) }
        }
    }
}
