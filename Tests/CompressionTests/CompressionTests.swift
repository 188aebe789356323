import Compression
import Foundation
import TestSupport
import Testing

@Suite struct CompressionTests {
    private func compress(_ parts: [[UInt8]], _ compressor: any Compressor) throws -> [UInt8] {
        var output: [UInt8] = []
        for part in parts {
            try part.withUnsafeBytes { bytes in
                try compressor.write(bytes) { output += Array($0) }
            }
        }
        try compressor.finish { output += Array($0) }
        return output
    }

    private func gunzip(
        _ bytes: [UInt8],
        maximumBytes: Int = .max
    ) throws(Gunzip.Failure)
        -> [UInt8]
    {
        let result = bytes.withUnsafeBytes { bytes in
            Result { () throws(Gunzip.Failure) in
                try Gunzip.unpack(bytes, maximumBytes: maximumBytes)
            }
        }
        return try result.get()
    }

    private static func sample(_ seed: UInt64, _ count: Int) -> [[UInt8]] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { _ in
            Array("line \(UInt8.random(in: 0...9, using: &generator)) ".utf8)
                + generator.bytes(Int.random(in: 0...3000, using: &generator))
        }
    }

    @Test(arguments: [1, 6, 9]) func `gzip comes back whole`(level: Int) throws {
        let parts = Self.sample(1, 300)
        let packed = try compress(parts, GzipCompressor(level: level))
        #expect(try gunzip(packed) == parts.flatMap { $0 })
    }

    @Test func `equal input gives equal output`() throws {
        let parts = Self.sample(2, 50)
        let first = try compress(parts, GzipCompressor(level: 1))
        #expect(try compress(parts, GzipCompressor(level: 1)) == first)
    }

    @Test func `nothing is a valid gzip file too`() throws {
        #expect(try gunzip(try compress([], GzipCompressor(level: 1))) == [])
    }

    @Test func `members that follow each other are one body`() throws {
        let one = try compress([[1, 2]], GzipCompressor(level: 1))
        let two = try compress([[3]], GzipCompressor(level: 1))
        #expect(try gunzip(one + two) == [1, 2, 3])
    }

    @Test func `a body that unpacks to too much is refused`() throws {
        let bomb = try compress(
            [[UInt8](repeating: 0, count: 50_000_000)],
            GzipCompressor(level: 9)
        )
        #expect(throws: Gunzip.Failure.tooLarge) { try gunzip(bomb, maximumBytes: 8_000_000) }
        #expect(try gunzip(bomb, maximumBytes: 50_000_000).count == 50_000_000)
    }

    @Test func `cut, changed or empty bodies are refused and nothing crashes`() throws {
        let packed = try compress(Self.sample(3, 20), GzipCompressor(level: 6))
        var generator = SeededGenerator(seed: 9)
        #expect(throws: Gunzip.Failure.malformed) { try gunzip([]) }
        #expect(throws: Gunzip.Failure.malformed) { try gunzip(Array(packed.dropLast())) }
        for _ in 0..<500 {
            var changed = packed
            let place = Int.random(in: 10..<changed.count, using: &generator)
            changed[place] ^= UInt8.random(in: 1...255, using: &generator)
            #expect(throws: Gunzip.Failure.self) { try gunzip(changed, maximumBytes: 100_000) }
        }
    }

    @Test func `unzip reads the archive`() throws {
        let folder = TemporaryFolder()
        let parts = Self.sample(4, 100)
        let archive = try compress(
            parts,
            ZipCompressor(name: "the-entry", modified: (2026, 7, 13, 14, 5, 6), level: 1)
        )
        try Data(archive).write(to: URL(fileURLWithPath: folder("a.zip")))
        let script = """
            import sys, zipfile
            z = zipfile.ZipFile(sys.argv[1])
            assert z.testzip() is None
            info = z.infolist()[0]
            assert len(z.infolist()) == 1 and info.filename == "the-entry", info
            assert info.date_time == (2026, 7, 13, 14, 5, 6), info.date_time
            open(sys.argv[2], "wb").write(z.read("the-entry"))
            """
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", script, folder("a.zip"), folder("out")]
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        let read = try Data(contentsOf: URL(fileURLWithPath: folder("out")))
        #expect(Array(read) == parts.flatMap { $0 })
    }
}
