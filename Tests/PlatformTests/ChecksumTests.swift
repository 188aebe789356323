import CKernels
import Platform
import TestSupport
import Testing

@Suite struct ChecksumTests {
    @Test func `the check value of the CRC catalogue comes out`() {
        #expect(CRC32C.checksum(Array("123456789".utf8)) == 0xe306_9283)
        // RFC 3720, appendix B.4: 32 bytes of zeros, of ones, and rising.
        #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8a91_36aa)
        #expect(CRC32C.checksum([UInt8](repeating: 255, count: 32)) == 0x62a8_ab43)
        #expect(CRC32C.checksum(Array(0..<32)) == 0x46dd_794e)
    }

    @Test func `the vector form agrees with the portable one at every length and alignment`() {
        var generator = SeededGenerator(seed: 1)
        let bytes = generator.bytes(40_000)
        for _ in 0..<3000 {
            let start = Int.random(in: 0..<64, using: &generator)
            let count = Int.random(in: 0..<(bytes.count - start), using: &generator)
            bytes.withUnsafeBytes { all in
                let part = UnsafeRawBufferPointer(rebasing: all[start..<start + count])
                let seed = UInt32.random(in: .min ... .max, using: &generator)
                #expect(
                    hydrant_crc32c(seed, part.baseAddress, count)
                        == hydrant_crc32c_portable(seed, part.baseAddress, count)
                )
            }
        }
    }

    @Test func `a checksum can be continued`() {
        var generator = SeededGenerator(seed: 2)
        let bytes = generator.bytes(20_000)
        for cut in [0, 1, 7, 8, 6143, 6144, 19_999] {
            bytes.withUnsafeBytes { all in
                let first = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: all[..<cut]))
                let whole = CRC32C.checksum(
                    UnsafeRawBufferPointer(rebasing: all[cut...]),
                    from: first
                )
                #expect(whole == CRC32C.checksum(bytes))
            }
        }
    }
}
