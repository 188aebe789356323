import Encryption
import Foundation
import Platform
import Records
import Synchronization
import TestSupport
import Testing

@testable import DurableLog

@Suite struct EncryptedLogTests {
    private static func keys(_ byte: UInt8...) throws -> MasterKeys {
        try MasterKeys(
            lines: byte.map { Data(repeating: $0, count: 32).base64EncodedString() }
                .joined(separator: "\n")
        )
    }

    private static let secret = Array("a secret that nobody may read on the disk".utf8)

    private func isOnDisk(_ harness: LogHarness, _ bytes: [UInt8]) throws -> Bool {
        for name in try Folder.list(harness.folder("log")) {
            let content = Data(try Folder.readFile(harness.folder("log/\(name)")))
            if content.range(of: Data(bytes)) != nil { return true }
        }
        return false
    }

    @Test func `encrypted records come back in order over segments and restarts`() async throws {
        let harness = try LogHarness(masterKeys: Self.keys(1))
        var generator = SeededGenerator(seed: 3)
        var all: [[UInt8]] = []
        for round in 0..<60 {
            let count = Int.random(in: 1...20, using: &generator)
            let batch = (0..<count).map { number in
                number == 0
                    ? Self.secret : generator.bytes(Int.random(in: 0...4000, using: &generator))
            }
            let receipt = try await harness.append(batch)
            #expect(receipt.isEncrypted)
            all += batch
            if round % 20 == 19 { try harness.reopen() }
        }
        let (records, damaged) = try harness.read()
        #expect(records == all)
        #expect(damaged.isEmpty)
        #expect(harness.log.tail.bytes == UInt64(all.reduce(0) { $0 + $1.count }))
        #expect(try !isOnDisk(harness, Self.secret))
    }

    @Test func `encryption is switched on and off between batches`() async throws {
        let harness = try LogHarness(masterKeys: Self.keys(1))
        var expected: [[UInt8]] = []
        for round in 0..<9 {
            let isOn = round % 3 != 1
            try harness.log.setEncryption(isOn)
            let batch = [Array("round \(round)".utf8), Self.secret]
            #expect(try await harness.append(batch).isEncrypted == isOn)
            expected += batch
        }
        #expect(try harness.read().records == expected)
        try harness.reopen()
        #expect(try harness.read().records == expected)
        #expect(try isOnDisk(harness, Self.secret))
        #expect(harness.log.isEncryptionInUse)
    }

    @Test func `a cut inside a encrypted frame falls between two records`() async throws {
        let harness = try LogHarness(masterKeys: Self.keys(1))
        _ = try await harness.append((0..<10).map { [UInt8](repeating: $0, count: 100) })
        let end = try harness.log.cut(
            from: .start,
            maximumBytes: 450,
            maximumRecords: .max,
            limit: harness.log.tail
        )
        #expect(end.records == 4)
        #expect(try harness.read(to: end).records.count == 4)
        #expect(try harness.read(from: end).records.map { $0[0] } == Array(4..<10))
    }

    @Test func `without its key a log keeps its records, and says what is missing`() async throws {
        let harness = try LogHarness(masterKeys: Self.keys(1))
        _ = try await harness.append([Self.secret])
        for keys in [nil, try Self.keys(2)] {
            try harness.reopen(masterKeys: keys, isEncrypted: true)
            #expect(throws: LogError.self) { try harness.read() }
            await #expect {
                _ = try await harness.append([[1]])
            } throws: { error in
                (error as? FirehoseError)?.code == .invalidKMSResource
            }
            #expect(throws: FirehoseError.self) { try harness.log.setEncryption(true) }
        }
        // Records that are not encrypted still get in.
        try harness.reopen(masterKeys: nil)
        #expect(try await !harness.append([[2]]).isEncrypted)
        try harness.reopen(masterKeys: Self.keys(1))
        #expect(try harness.read().records == [Self.secret, [2]])
    }

    @Test func `a new master key takes over, and the old one can go`() async throws {
        let harness = try LogHarness(masterKeys: Self.keys(1))
        _ = try await harness.append([Self.secret])
        try harness.reopen(masterKeys: Self.keys(2, 1))
        _ = try await harness.append([[2]])
        try harness.reopen(masterKeys: Self.keys(2))
        #expect(try harness.read().records == [Self.secret, [2]])
    }

    @Test func `a frame that was changed under a right checksum is damage`() async throws {
        let harness = try LogHarness(masterKeys: Self.keys(1))
        for number in 0..<3 { _ = try await harness.append([[UInt8(number)], Self.secret]) }
        let names = try Folder.list(harness.folder("log")).filter { $0.hasSuffix(".segment") }
        let path = harness.folder("log/\(names[0])")
        var bytes = try Folder.readFile(path)
        // The second frame's record count and checksums, as somebody with the format would.
        let start = Int(SegmentHeader.byteCount) + (bytes.count > 0 ? frameBytes(bytes) : 0)
        bytes[start + FrameHeader.byteCount + 20] ^= 1
        bytes.withUnsafeMutableBytes { all in
            let header = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(all)[start...])
            let count = Int(header.load32(16))
            let payload = UnsafeRawBufferPointer(rebasing: header[64..<64 + count])
            let frame = UnsafeMutableRawBufferPointer(rebasing: all[start...])
            frame.store(CRC32C.checksum(payload), at: 24)
            frame.store(~CRC32C.checksum(UnsafeRawBufferPointer(rebasing: frame[8..<64])), at: 4)
        }
        try Folder.replaceFile(path, with: bytes)
        try harness.reopen()
        let (records, damaged) = try harness.read()
        #expect(records == [[0], Self.secret, [2], Self.secret])
        #expect(damaged.count == 1)
    }

    private func frameBytes(_ bytes: [UInt8]) -> Int {
        bytes.withUnsafeBytes { all in
            let header = UnsafeRawBufferPointer(rebasing: all[Int(SegmentHeader.byteCount)...])
            return FrameHeader.byteCount + RecordBatch.padded(Int(header.load32(16)))
        }
    }

    @Test func `keys of frames that all readers have passed are dropped`() async throws {
        let harness = try LogHarness(masterKeys: Self.keys(1))
        let path = harness.folder("log/\(EncryptionKeys.fileName)")
        for round in 0..<5 {
            _ = try await harness.append([[UInt8(round)]])
            try harness.log.moveCheckpoint(of: LogHarness.reader, to: harness.log.tail)
            try harness.reopen()
        }
        #expect(try Folder.readFile(path).count < 24 + 3 * 96)
        _ = try await harness.append([[9]])
        #expect(try harness.read().records == [[9]])
    }

    @Test func `damaged keys are neither used nor replaced`() async throws {
        let harness = try LogHarness(masterKeys: Self.keys(1))
        _ = try await harness.append([Self.secret])
        let path = harness.folder("log/\(EncryptionKeys.fileName)")
        var bytes = try Folder.readFile(path)
        bytes[40] ^= 1
        try Folder.replaceFile(path, with: bytes)
        try harness.reopen()
        #expect(throws: LogError.self) { try harness.read() }
        await #expect(throws: FirehoseError.self) { try await harness.append([[1]]) }
        #expect(try Folder.readFile(path) == bytes)
    }

    @Test func `a key that cannot be stored refuses the batch, and the next is tried anew`()
        async throws
    {
        let isBroken = Mutex(true)
        let harness = try LogHarness(
            masterKeys: Self.keys(1),
            fault: { call, path, _ in
                call == .sync && path.contains(EncryptionKeys.fileName) && isBroken.withLock { $0 }
                    ? EIO : nil
            }
        )
        await #expect(throws: FirehoseError.self) { try await harness.append([[1]]) }
        isBroken.withLock { $0 = false }
        #expect(try await harness.append([[2]]).isEncrypted)
        #expect(try harness.read().records == [[2]])
    }
}
