internal import Delivery
internal import Destinations
internal import JSON
internal import Platform
internal import Records

/// Puts what became of a slice into batches for the outcome log.
struct OutcomeFrames {
    /// The failed records' lines, one behind the other, and where each ends.
    private var lines: [UInt8] = []
    private var lineEnds: [Int] = []
    /// How many of the batch's records the last frame and those before it cover.
    private(set) var covered: UInt64
    private let slice: TransformSlice
    private let source: SourceRecords
    private let lambdaARN: String?
    private let now: Timestamp

    init(
        _ slice: TransformSlice,
        _ source: SourceRecords,
        covered: UInt64,
        lambdaARN: String?,
        now: Timestamp
    ) {
        self.covered = covered
        self.slice = slice
        self.source = source
        self.lambdaARN = lambdaARN
        self.now = now
    }

    /// The batches, in order; none where nothing is left of the slice to be delivered.
    ///
    /// Each holds all that became of some records of the stream, never a part of one's, and its
    /// progress says so. They are a third of what a frame can hold or little more: one record
    /// cannot become so much that the rest is not enough.
    mutating func make(
        _ results: [TransformSlice.Result],
        responses: [Block],
        progress: OutcomeRecord.Progress
    ) -> [RecordBatch] {
        var sizes: [Int] = []
        for (item, result) in results.enumerated() { sizes.append(size(of: result, item)) }
        var batches: [RecordBatch] = []
        var start = 0
        var bytes = 0
        var line = 0
        var covered = progress
        covered.from = self.covered
        for item in results.indices {
            bytes += sizes[item]
            let isLast = item == results.endIndex - 1
            let isRecordOver = isLast || slice.record(of: item + 1) > slice.record(of: item)
            guard isLast || (isRecordOver && bytes > Limits.maximumFrameBytes / 3) else { continue }
            covered.records = isLast ? progress.records : UInt64(slice.record(of: item) + 1)
            covered.isComplete = isLast && progress.isComplete
            let range = start..<item + 1
            let batch = batch(results[range], sizes[range], responses, covered, &line)
            if let batch {
                batches.append(batch)
                self.covered = covered.records
                covered.from = covered.records
            }
            start = item + 1
            bytes = 0
        }
        return batches
    }

    /// Bytes that a result takes in a batch; 0 where it leaves nothing.
    private mutating func size(of result: TransformSlice.Result, _ item: Int) -> Int {
        let overhead = RecordBatch.lengthPrefixBytes + OutcomeRecord.tagBytes
        let before = lines.count
        switch result {
        case .dropped: return 0
        case .ok(_, let range): return overhead + range.count
        case .failed(let error, let message, let attempts):
            addLine(item, error.rawValue, message, attempts: attempts, lambdaARN)
        case .notExpanded(let failure):
            addLine(item, failure.code, failure.message, attempts: 1, nil)
        }
        return overhead + lines.count - before
    }

    private func batch(
        _ results: ArraySlice<TransformSlice.Result>,
        _ sizes: ArraySlice<Int>,
        _ responses: [Block],
        _ progress: OutcomeRecord.Progress,
        _ line: inout Int
    ) -> RecordBatch? {
        let bytes = sizes.reduce(0, +)
        guard bytes > 0 else { return nil }
        let overhead = RecordBatch.lengthPrefixBytes + OutcomeRecord.tagBytes
        var builder = RecordBatch.Builder(
            capacity: bytes + overhead + OutcomeRecord.Progress.byteCount
        )
        builder.appendRecord { space in
            space[0] = OutcomeRecord.progress.rawValue
            progress.write(to: UnsafeMutableRawBufferPointer(rebasing: space[1...]))
            return OutcomeRecord.tagBytes + OutcomeRecord.Progress.byteCount
        }
        for result in results {
            switch result {
            case .dropped: break
            case .ok(let response, let range):
                let data = response.map { responses[$0] } ?? slice.data
                Self.append(.delivered, data.bytes, range, to: &builder)
            case .failed, .notExpanded:
                let start = line == 0 ? 0 : lineEnds[line - 1]
                let end = lineEnds[line]
                var kind = OutcomeRecord.processingFailed
                if case .notExpanded(.decompression) = result { kind = .decompressionFailed }
                lines.withUnsafeBytes { Self.append(kind, $0, start..<end, to: &builder) }
                line += 1
            }
        }
        return builder.build()
    }

    private static func append(
        _ kind: OutcomeRecord,
        _ data: UnsafeRawBufferPointer,
        _ range: Range<Int>,
        to builder: inout RecordBatch.Builder
    ) {
        builder.appendRecord { space in
            space[0] = kind.rawValue
            UnsafeMutableRawBufferPointer(rebasing: space[1...])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: data[range]))
            return OutcomeRecord.tagBytes + range.count
        }
    }

    // MARK: A failed record's line

    /// The members in the order in which AWS writes them.
    private mutating func addLine(
        _ item: Int,
        _ code: String,
        _ message: String,
        attempts: Int,
        _ lambdaARN: String?
    ) {
        let original = slice.items[item].original
        put(#"{"rawData":""#)
        let data = UnsafeRawBufferPointer(rebasing: slice.data.bytes[original])
        Base64.append(data, to: &lines)
        put(#"","errorCode":\#(JSONText.quoted(code)),"errorMessage":\#(JSONText.quoted(message))"#)
        put(#","attemptsMade":\#(attempts)"#)
        put(#","arrivalTimestamp":\#(slice.arrival(of: item, source).milliseconds)"#)
        put(#","attemptEndingTimestamp":\#(now.milliseconds)"#)
        if let lambdaARN { put(#","lambdaARN":\#(JSONText.quoted(lambdaARN))"#) }
        put("}")
        lineEnds.append(lines.count)
    }

    private mutating func put(_ text: String) { lines.append(contentsOf: text.utf8) }
}
