import Foundation
import Records
import Testing

@Suite struct RecordNumberTests {
    @Test func `a number is stored as a bare integer`() throws {
        let numbers: [RecordNumber] = [0, 7, RecordNumber(.max)]
        let bytes = try JSONEncoder().encode(numbers)
        #expect(String(decoding: bytes, as: UTF8.self) == "[0,7,18446744073709551615]")
        #expect(try JSONDecoder().decode([RecordNumber].self, from: bytes) == numbers)
    }

    @Test func `a receipt numbers its records over all runs`() {
        let receipt = AppendReceipt(
            generation: 1,
            runs: [
                .init(first: 10, count: 2), .init(first: 20, count: 0), .init(first: 30, count: 3),
            ]
        )
        #expect(receipt.recordCount == 5)
        #expect((0..<5).map(receipt.number(ofRecord:)) == [10, 11, 30, 31, 32])
    }

    @Test func `records of a chunk are counted on from the first`() {
        let batch = RecordBatch([[1], [], [2, 3]])
        var seen: [(RecordNumber, [UInt8])] = []
        LogRecords(
            batch.payload,
            first: 40,
            count: 3,
            arrival: Timestamp(milliseconds: 0),
            generation: 7
        ).forEachRecord { record, number in seen.append((number, Array(record))) }
        #expect(seen.map(\.0) == [40, 41, 42])
        #expect(seen.map(\.1) == [[1], [], [2, 3]])
    }
}
