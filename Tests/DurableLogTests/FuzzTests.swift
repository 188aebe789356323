import Encryption
import Foundation
import Platform
import Records
import TestSupport
import Testing

@testable import DurableLog

/// Seeded mutations of what is on disk.
///
/// `HYDRANT_FUZZ_ROUNDS` multiplies their number.
@Suite struct FuzzTests {
    private static let factor =
        Int(ProcessInfo.processInfo.environment["HYDRANT_FUZZ_ROUNDS"] ?? "") ?? 1

    @Test func `no mutation of a frame header is taken for a frame`() {
        var generator = SeededGenerator(seed: 41)
        var accepted = 0
        let rounds = 1_000_000 * Self.factor
        var original = [UInt8](repeating: 0, count: FrameHeader.byteCount)
        let header = FrameHeader(
            of: 7,
            at: LogMark(position: LogPosition(offset: 4096), records: 10, bytes: 5000),
            payloadBytes: 1004,
            recordCount: 1,
            payloadChecksum: 99,
            arrival: Timestamp(milliseconds: 1_783_951_506_789),
            committed: 4096
        )
        original.withUnsafeMutableBytes { header.encode(into: $0) }
        for _ in 0..<rounds {
            var bytes = original
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                let place = Int.random(in: 0..<bytes.count, using: &generator)
                bytes[place] = UInt8.random(in: .min ... .max, using: &generator)
            }
            let read = bytes.withUnsafeBytes { FrameHeader($0, expectedOffset: 4096, logTag: 7) }
            if let read {
                accepted += 1
                if bytes != original { #expect(read == header) }
            }
        }
        print("frame headers: \(rounds) mutations, \(accepted) valid ones, all of them unchanged")
        original.withUnsafeBytes {
            #expect(FrameHeader($0, expectedOffset: 4096, logTag: 7) == header)
        }
    }

    @Test func `recovery and reading survive any bytes, and pass none on that were not written`()
        async throws
    {
        var generator = SeededGenerator(seed: 42)
        let logs = 60 * Self.factor
        var mutations = 0
        var recoveries = 0
        let keys = try MasterKeys(lines: String(repeating: "5a", count: 32))
        for number in 0..<logs {
            let harness = try LogHarness(
                firstSegmentBytes: 16 * 1024,
                segmentBytes: 16 * 1024,
                masterKeys: number % 2 == 0 ? keys : nil
            )
            var written: Set<[UInt8]> = []
            for _ in 0..<25 {
                let batch = (0..<Int.random(in: 1...4, using: &generator)).map { _ in
                    generator.bytes(Int.random(in: 8...700, using: &generator))
                }
                written.formUnion(batch)
                _ = try await harness.append(batch)
            }
            let originals = try harness.segmentFiles.map { ($0, try Folder.readFile($0)) }
            for _ in 0..<40 {
                for (path, bytes) in originals {
                    let (changed, count) = mutated(bytes, &generator)
                    mutations += count
                    try File(path, .update).write(changed, at: 0)
                }
                try harness.reopen()
                recoveries += 1
                let (records, _) = try harness.read()
                #expect(records.allSatisfy(written.contains))
            }
            _ = try await harness.append([[1]])
            #expect(try harness.read().records.last == [1])
        }
        print(
            "log files: \(mutations) mutations in \(recoveries) recoveries, nothing foreign was read"
        )
    }

    /// Some of the bytes changed, singly and in runs; the version stays, as another is refused.
    private func mutated(
        _ bytes: [UInt8],
        _ generator: inout SeededGenerator
    ) -> (
        bytes: [UInt8], count: Int
    ) {
        var changed = bytes
        let count = Int.random(in: 0...20, using: &generator)
        for _ in 0..<count {
            let place = Int.random(in: 12..<bytes.count, using: &generator)
            let length = [1, 1, 1, 8, 64, 512].randomElement(using: &generator) ?? 1
            for index in place..<min(bytes.count, place + length) {
                changed[index] = UInt8.random(in: .min ... .max, using: &generator)
            }
        }
        return (changed, count)
    }
}
