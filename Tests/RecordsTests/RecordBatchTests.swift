import Records
import TestSupport
import Testing

@Suite struct RecordBatchTests {
    @Test func `records come back as they went in, empty ones too`() {
        let records: [[UInt8]] = [[], [1], [2, 3, 4, 5, 6, 7, 8, 9, 10], []]
        let batch = RecordBatch(records)
        #expect(batch.records == records)
        #expect(batch.recordCount == 4)
        #expect(batch.dataBytes == 10)
        #expect(batch.payloadBytes == 26)
    }

    @Test func `the block is padded with zeros`() {
        let batch = RecordBatch([[1, 2, 3]])
        #expect(Array(batch.paddedPayload) == [3, 0, 0, 0, 1, 2, 3, 0])
    }

    @Test func `lengths that do not add up are noticed`() {
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<2000 {
            let bytes = generator.bytes(Int.random(in: 1...40, using: &generator))
            bytes.withUnsafeBytes { layout in
                var total = 0
                let isWhole = RecordLayout.forEachRecord(in: layout) {
                    total += $0.count + RecordBatch.lengthPrefixBytes
                }
                #expect(isWhole == (total == bytes.count))
            }
        }
    }
}
