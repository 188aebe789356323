import Platform
import Testing

@Suite struct BlockTests {
    @Test(arguments: [0, 10, 1 << 20])
    func `a block holds what its builder was given`(capacity: Int) {
        var builder = Block.Builder(capacity: capacity + 4)
        #expect(builder.capacity >= capacity + 4)
        [1, 2, 3].withUnsafeBytes { (bytes: UnsafeRawBufferPointer) in
            builder.append(UnsafeRawBufferPointer(rebasing: bytes[..<2]))
        }
        builder.room[0] = 7
        builder.room[1] = 8
        builder.advance(by: 2)
        #expect(builder.count == 4)
        builder.truncate(to: 3)
        let bytes = Array(builder.bytes)
        let block = builder.build()
        #expect(block.count == 3)
        #expect(Array(block.bytes) == bytes)
        #expect(bytes.last == 7)
    }

    @Test func `what one block gives back another has for itself`() {
        for round in UInt8(0)..<20 {
            let first = Block([UInt8](repeating: round, count: 200_000))
            var second = Block.Builder(capacity: 200_000)
            second.room.initializeMemory(as: UInt8.self, repeating: ~round)
            second.advance(by: 200_000)
            let other = second.build()
            #expect(first.bytes.allSatisfy { $0 == round })
            #expect(other.bytes.allSatisfy { $0 == ~round })
        }
    }
}
