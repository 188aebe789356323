internal import Platform
internal import Records

/// A batch's records as they were put, in memory.
struct SourceRecords: Sendable {
    /// Their data, one behind the other.
    let block: Block
    private let ends: [Int]
    let arrivals: [Timestamp]
    /// Their numbers in the log.
    let numbers: [RecordNumber]
    /// The generations of the log that they were appended in.
    let generations: [UInt64]
    /// Parts of the log that could not be read.
    let damaged: [LogDamage]

    var count: Int { ends.count }

    /// Reads a range of a log.
    ///
    /// Blocks.
    init(_ log: any RecordLog, from start: LogMark, to end: LogMark) throws {
        // Counters jump over damage, so this may be too much, and is never too little.
        var builder = Block.Builder(capacity: Int(end.bytes - start.bytes))
        var ends: [Int] = []
        var arrivals: [Timestamp] = []
        var numbers: [RecordNumber] = []
        var generations: [UInt64] = []
        var damaged: [LogDamage] = []
        try log.read(from: start, to: end) { chunk in
            switch chunk {
            case .damaged(let damage): damaged.append(damage)
            case .records(let records):
                records.forEachRecord { record, number in
                    builder.append(record)
                    ends.append(builder.count)
                    arrivals.append(records.arrival)
                    numbers.append(number)
                    generations.append(records.generation)
                }
            }
        }
        block = builder.build()
        self.ends = ends
        self.arrivals = arrivals
        self.numbers = numbers
        self.generations = generations
        self.damaged = damaged
    }

    /// Where one record's bytes are in the block.
    func range(of index: Int) -> Range<Int> { (index == 0 ? 0 : ends[index - 1])..<ends[index] }
}

/// A part of a batch that is small enough to be in memory with all that becomes of it.
struct TransformSlice: Sendable {
    /// What became of one of its items.
    enum Result: Sendable {
        /// In the data of a response, by its number, or in the slice's own.
        case ok(response: Int?, Range<Int>)
        case dropped
        case failed(LambdaError, message: String, attempts: Int)
        /// It could not be taken apart or unpacked.
        case notExpanded(Expansion.Failure)
    }

    /// Which records of the batch it has.
    let records: Range<Int>
    let data: Block
    let items: [Expansion.Item]
    /// Bytes that they take before they are transformed.
    let byteCount: Int
    /// The record that each item came from, and its number in it.
    private let sources: [(record: Int, piece: Int)]

    /// Takes records from `start` on, until they are as many as an invocation takes.
    init(_ source: SourceRecords, from start: Int, _ processing: Processing) {
        var expansion = Expansion(processing)
        var sources: [(record: Int, piece: Int)] = []
        var index = start
        while index < source.count, expansion.usedBytes < Limits.maximumTransformSliceBytes,
            expansion.items.count < Limits.maximumTransformSliceRecords
        {
            let before = expansion.items.count
            expansion.add(source.block.bytes, source.range(of: index))
            for piece in 0..<expansion.items.count - before { sources.append((index, piece)) }
            index += 1
        }
        records = start..<index
        // Where nothing is unpacked, the items are parts of the records as they were put.
        data = processing.unpacksRecords ? Block(expansion.data) : source.block
        items = expansion.items
        byteCount = items.reduce(0) { $0 + $1.range.count }
        self.sources = sources
    }

    /// The record that an item came from, by its number in the batch.
    func record(of item: Int) -> Int { sources[item].record }

    /// When an item's record arrived.
    func arrival(of item: Int, _ source: SourceRecords) -> Timestamp {
        source.arrivals[sources[item].record]
    }

    /// A part of a slice that goes into one invocation.
    struct Request: Sendable {
        var event: TransformEvent
        /// Its records' numbers in the slice.
        var items: [Int]
    }

    /// The next invocation's records, from `start` on, and where the one after it begins; nil where
    /// there are none left.
    ///
    /// An item that is too large for any invocation is in none, and is passed over.
    func request(
        from start: Int,
        _ source: SourceRecords,
        streamARN: String,
        region: String
    ) -> (request: Request, next: Int)? {
        let frame = TransformEvent.Builder.frameBytes(streamARN: streamARN, region: region)
        let most = TransformLimits.maximumRequestBytes - frame
        var used = 0
        var chosen: [Int] = []
        var next = start
        while next < items.count {
            let bytes = Self.recordBytes(items[next])
            if items[next].failure == nil, !items[next].isNothing, bytes <= most {
                if used + bytes > most { break }
                used += bytes
                chosen.append(next)
            }
            next += 1
        }
        guard !chosen.isEmpty else { return nil }
        var builder = TransformEvent.Builder(
            streamARN: streamARN,
            region: region,
            capacity: used + frame
        )
        var prefix = RecordIdentifier.Prefix()
        let data = data.bytes
        for item in chosen {
            let place = sources[item]
            prefix.generation = source.generations[place.record]
            builder.add(
                arrival: source.arrivals[place.record],
                UnsafeRawBufferPointer(rebasing: data[items[item].range])
            ) { space in
                RecordIdentifier.write(
                    prefix.digits,
                    record: source.numbers[place.record],
                    piece: place.piece,
                    to: space
                )
                return RecordIdentifier.byteCount
            }
        }
        return (Request(event: builder.build(), items: chosen), next)
    }

    private static func recordBytes(_ item: Expansion.Item) -> Int {
        TransformEvent.Builder.recordBytes(
            data: item.range.count,
            identifierBytes: RecordIdentifier.byteCount
        )
    }
}

/// The ids that records have towards a transform: decimal digits, as AWS's once were.
///
/// They are the same in every attempt, also after a restart.
enum RecordIdentifier {
    static let byteCount = 48

    /// What is common to all records of a generation of a log; most often there is one.
    struct Prefix {
        private(set) var digits =
            Array("49".utf8) + [UInt8](repeating: UInt8(ascii: "0"), count: 20)
        var generation: UInt64 = 0 {
            didSet {
                guard generation != oldValue else { return }
                digits.withUnsafeMutableBytes {
                    RecordIdentifier.writeDigits(of: generation, to: $0, 2..<22)
                }
            }
        }
    }

    /// The id of a record, and of its pieces by number.
    static func write(
        _ prefix: [UInt8],
        record: RecordNumber,
        piece: Int,
        to space: UnsafeMutableRawBufferPointer
    ) {
        space.copyBytes(from: prefix)
        writeDigits(of: record.value, to: space, 22..<42)
        writeDigits(of: UInt64(piece), to: space, 42..<48)
    }

    private static func writeDigits(
        of number: UInt64,
        to space: UnsafeMutableRawBufferPointer,
        _ range: Range<Int>
    ) {
        var rest = number
        var place = range.upperBound
        while place > range.lowerBound {
            place -= 1
            space[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
    }
}
