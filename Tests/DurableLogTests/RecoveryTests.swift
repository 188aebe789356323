import Foundation
import Platform
import Records
import Synchronization
import TestSupport
import Testing

@testable import DurableLog

@Suite struct RecoveryTests {
    /// A frame's bytes in the log for one record of `count` bytes.
    private func frameBytes(_ count: Int) -> UInt64 {
        UInt64(FrameHeader.byteCount + RecordBatch.padded(count + 4))
    }

    private func numbered(_ number: Int, _ count: Int = 1000) -> [UInt8] {
        [UInt8(number & 255), UInt8(number >> 8)] + [UInt8](repeating: 7, count: count - 2)
    }

    @Test func `a segment that was being made takes no room after a crash or an error`()
        async throws
    {
        let fails = Atomic(true)
        let harness = try LogHarness(fault: { call, _, _ in
            call == .allocate && fails.load(ordering: .relaxed) ? EIO : nil
        })
        await #expect(throws: FirehoseError.self) { try await harness.append([[1]]) }
        #expect(try harness.unfinishedFiles == [])
        fails.store(false, ordering: .relaxed)
        _ = try await harness.append([[1]])
        try Folder.replaceFile(harness.folder("log/00000000000000ff.segment.new"), with: [1])
        try harness.reopen()
        #expect(try harness.unfinishedFiles == [])
        #expect(try harness.read().records == [[1]])
    }

    @Test func `a torn tail is cut, wherever it is torn`() async throws {
        var generator = SeededGenerator(seed: 31)
        for _ in 0..<60 {
            let harness = try LogHarness()
            for number in 0..<10 { _ = try await harness.append([numbered(number)]) }
            // The last frame is in the state of a write that never finished.
            let start = frameBytes(1000) * 9
            let torn = UInt64.random(in: 0..<frameBytes(1000), using: &generator)
            let path = try #require(try harness.segmentFiles.last)
            try harness.overwrite(
                path,
                at: start + torn,
                with: [UInt8](repeating: 0, count: Int(frameBytes(1000) - torn))
            )
            try harness.reopen()
            let (records, damaged) = try harness.read()
            // Zeros over the padding alone change nothing.
            let isWhole = torn >= frameBytes(1000) - 4
            #expect(records == (0..<(isWhole ? 10 : 9)).map { numbered($0) })
            #expect(damaged.isEmpty)
            _ = try await harness.append([numbered(99)])
            try harness.reopen()
            #expect(try harness.read().records.last == numbered(99))
        }
    }

    @Test func `damage in the middle is reported, and what is behind it is read`() async throws {
        var generator = SeededGenerator(seed: 32)
        for _ in 0..<60 {
            let harness = try LogHarness()
            for number in 0..<20 { _ = try await harness.append([numbered(number)]) }
            let victim = Int.random(in: 0..<19, using: &generator)
            let place = UInt64.random(in: 0..<frameBytes(1000) - 4, using: &generator)
            let offset = frameBytes(1000) * UInt64(victim) + place
            let path = try #require(try harness.segmentFiles.first)
            let before = try File(path, .read).read(
                1,
                at: UInt64(SegmentHeader.byteCount) + offset
            )[0]
            try harness.overwrite(path, at: offset, with: [before ^ 0x40])
            if Bool.random(using: &generator) { try harness.reopen() }
            let (records, damaged) = try harness.read()
            #expect(records == (0..<20).filter { $0 != victim }.map { numbered($0) })
            try #require(damaged.count == 1)
            #expect(damaged[0].start == frameBytes(1000) * UInt64(victim))
            #expect(damaged[0].end == frameBytes(1000) * UInt64(victim + 1))
            #expect(damaged[0].bytes.count == Int(frameBytes(1000)))
            #expect(damaged[0].location.contains(".segment at byte"))
        }
    }

    @Test func `damage at the end of the active segment is not taken for a torn tail`()
        async throws
    {
        let harness = try LogHarness()
        for number in 0..<5 { _ = try await harness.append([numbered(number)]) }
        // A header in the middle of what was synced, with only two frames behind it.
        let path = try #require(try harness.segmentFiles.last)
        try harness.overwrite(
            path,
            at: frameBytes(1000) * 2,
            with: [UInt8](repeating: 0, count: 64)
        )
        try harness.reopen()
        #expect(harness.log.tail.records == 5)
        let (records, damaged) = try harness.read()
        #expect(records == [0, 1, 3, 4].map { numbered($0) })
        #expect(damaged.count == 1)
    }

    @Test func `a lost segment is reported as damage`() async throws {
        let harness = try LogHarness(firstSegmentBytes: 16 * 1024, segmentBytes: 16 * 1024)
        for number in 0..<60 { _ = try await harness.append([numbered(number)]) }
        let files = try harness.segmentFiles
        try Folder.remove(files[1])
        try harness.reopen()
        let (records, damaged) = try harness.read()
        #expect(damaged.count == 1)
        #expect(records.count < 60 && records.count > 30)
        #expect(records.last == numbered(59))
    }

    @Test func `a segment of a later format is refused by name`() async throws {
        let harness = try LogHarness()
        _ = try await harness.append([[1]])
        let path = try #require(try harness.segmentFiles.first)
        // With a checksum of its own, of what it is of there.
        try File(path, .update).write([2, 0, 0, 0, 1, 2, 3, 4], at: 8)
        #expect {
            try harness.reopen()
        } throws: { error in
            "\(error)".contains(path) && "\(error)".contains("format 2")
        }
    }

    @Test func `a version that is wrong by a bit is damage, and no later format`() async throws {
        let harness = try LogHarness()
        _ = try await harness.append([[1]])
        let path = try #require(try harness.segmentFiles.first)
        for bit in 0..<8 {
            try File(path, .update).write([1 ^ 1 << UInt8(bit)], at: 8)
            try harness.reopen()
            #expect(try harness.read().records == [[1]])
        }
    }

    @Test func `a damaged segment header does not hide the frames`() async throws {
        let harness = try LogHarness()
        for number in 0..<5 { _ = try await harness.append([numbered(number)]) }
        let path = try #require(try harness.segmentFiles.first)
        try File(path, .update).write([0xee, 0xee], at: 20)
        try harness.reopen()
        #expect(harness.log.tail.records == 5)
        #expect(try harness.read().records == (0..<5).map { numbered($0) })
    }

    @Test func `a log that lost its end behind a checkpoint does not give records old places`()
        async throws
    {
        let harness = try LogHarness()
        for number in 0..<5 { _ = try await harness.append([numbered(number)]) }
        try harness.move(to: harness.log.tail)
        for path in try harness.segmentFiles { try Folder.remove(path) }
        try harness.reopen()
        _ = try await harness.append([numbered(77)])
        #expect(try harness.read().records == [numbered(77)])
        try harness.reopen()
        #expect(try harness.read().records == [numbered(77)])
    }

    @Test func `what another log left in a used segment is never read`() async throws {
        let harness = try LogHarness(firstSegmentBytes: 16 * 1024, segmentBytes: 64 * 1024)
        // Two logs with the same sizes of frames have the same offsets.
        let other = try harness.store.openLog(
            harness.folder("other"),
            for: LogUse(readers: [LogHarness.reader])
        )
        for _ in 0..<100 { _ = try await other.append([numbered(0x0bad)]) }
        try other.moveCheckpoint(of: LogHarness.reader, to: other.tail)
        for number in 0..<30 { _ = try await harness.append([numbered(number)]) }
        try harness.reopen()
        let (records, damaged) = try harness.read()
        #expect(records == (0..<30).map { numbered($0) })
        #expect(damaged.isEmpty)
        #expect(harness.log.tail.records == 30)
    }

    @Test func `a log goes on behind every mark that it is known to have reached`() async throws {
        let harness = try LogHarness()
        for number in 0..<5 { _ = try await harness.append([numbered(number)]) }
        let encrypted = harness.log.tail
        for path in try harness.segmentFiles { try Folder.remove(path) }
        let log = try harness.store.openLog(
            harness.folder("log"),
            for: LogUse(readers: [LogHarness.reader], floors: [encrypted])
        )
        #expect(log.tail == encrypted)
        let receipt = try await log.append([numbered(6)])
        #expect(receipt.number(ofRecord: 0) == 5)
        #expect(log.tail.position > encrypted.position)
    }

    @Test func `recovery reads headers and the tail, not the buffer`() async throws {
        let reads = Mutex(0)
        let harness = try LogHarness { call, _, _ in
            if call == .read { reads.withLock { $0 += 1 } }
            return nil
        }
        let record = [UInt8](repeating: 1, count: 60_000)
        for _ in 0..<800 { _ = try await harness.append([record]) }
        let segments = try harness.segmentFiles.count
        reads.withLock { $0 = 0 }
        try harness.reopen()
        // A read is at most 256 KiB: one for each segment, and a few for the last one.
        let count = reads.withLock { $0 }
        #expect(segments > 150)
        #expect(count < segments + 20, "\(count) reads for \(segments) segments")
    }

    @Test func `counts never go back, also where the last segment's header is lost`() async throws {
        let harness = try LogHarness(firstSegmentBytes: 16 * 1024, segmentBytes: 16 * 1024)
        for number in 0..<40 { _ = try await harness.append([numbered(number)]) }
        let last = try #require(try harness.segmentFiles.last)
        let file = try File(last, .update)
        try file.write([UInt8](repeating: 0, count: Int(file.size())), at: 0)
        let name = String(last.split(separator: "/").last ?? "")
        let base = try #require(Segment.base(ofName: name))
        try harness.reopen()
        #expect(harness.log.tail.position.offset == base)
        #expect(harness.log.tail.records == base / frameBytes(1000))
        #expect(harness.log.tail.bytes == harness.log.tail.records * 1000)
    }

    @Test func `a failed write or sync refuses the puts and loses none before or after`()
        async throws
    {
        for call in [SystemError.Call.write, .sync, .allocate, .open] {
            let failing = Mutex(false)
            let harness = try LogHarness(
                firstSegmentBytes: 8 * 1024,
                segmentBytes: 8 * 1024
            ) { made, path, _ in
                made == call && path.contains(".segment") && failing.withLock { $0 } ? 5 : nil
            }
            var expected: [[UInt8]] = []
            for number in 0..<60 {
                failing.withLock { $0 = number % 7 == 3 }
                do {
                    _ = try await harness.append([numbered(number)])
                    expected.append(numbered(number))
                } catch {
                    #expect((error as? FirehoseError)?.code == .serviceUnavailable)
                }
            }
            failing.withLock { $0 = false }
            #expect(expected.count < 60)
            #expect(try harness.read().records == expected)
            try harness.reopen()
            #expect(try harness.read().records == expected)
        }
    }

    /// Kills at every point between writes are the same as losing any part of what was not synced:
    /// the folder is copied with each page behind the durable end kept, zeroed or half-written.
    @Test func `whatever a crash leaves of unsynced pages, no acknowledged record is lost`()
        async throws
    {
        var generator = SeededGenerator(seed: 33)
        for round in 0..<40 {
            let unsynced = Mutex(false)
            let harness = try LogHarness { call, _, _ in
                call == .sync && unsynced.withLock { $0 } ? 5 : nil
            }
            var acknowledged: [[UInt8]] = []
            for number in 0..<Int.random(in: 1...40, using: &generator) {
                let record = numbered(number, Int.random(in: 2...6000, using: &generator))
                _ = try await harness.append([record])
                acknowledged.append(record)
            }
            let end = harness.log.tail.position.offset
            // Written, but its sync fails: not acknowledged.
            unsynced.withLock { $0 = true }
            let extra = (0..<5).map { numbered(1000 + $0, 3000) }
            await #expect(throws: FirehoseError.self) { try await harness.append(extra) }
            unsynced.withLock { $0 = false }
            let path = try #require(try harness.segmentFiles.last)
            try scramble(path, behind: end, &generator)
            try harness.reopen()
            let (records, damaged) = try harness.read()
            #expect(Array(records.prefix(acknowledged.count)) == acknowledged, "round \(round)")
            #expect(records.count == acknowledged.count || records.count == acknowledged.count + 5)
            #expect(damaged.isEmpty)
            _ = try await harness.append([[1, 2, 3]])
            try harness.reopen()
            #expect(try harness.read().records.last == [1, 2, 3])
        }
    }

    private func scramble(
        _ path: String,
        behind end: UInt64,
        _ generator: inout SeededGenerator
    ) throws {
        let name = String(path.split(separator: "/").last ?? "")
        let start = UInt64(SegmentHeader.byteCount) + end - (Segment.base(ofName: name) ?? 0)
        let file = try File(path, .update)
        var place = start
        while place < start + 20_000 {
            let next = (place / 512 + 1) * 512
            if Bool.random(using: &generator) {
                let count = Int(next - place)
                try file.write(
                    Bool.random(using: &generator)
                        ? [UInt8](repeating: 0, count: count) : generator.bytes(count),
                    at: place
                )
            }
            place = next
        }
    }
}
