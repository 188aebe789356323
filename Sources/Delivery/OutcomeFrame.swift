internal import CKernels
internal import Foundation
internal import Platform
internal import Processors
internal import Records
internal import TransformHost

/// Puts what became of a slice into one batch for the outcome log.
struct OutcomeFrame {
    /// The failed records' lines, one behind the other, and where each ends.
    private var lines: [UInt8] = []
    private var lineEnds: [Int] = []
    private let slice: TransformSlice
    private let source: SourceRecords
    private let lambdaARN: String?
    private let now: Timestamp

    init(
        _ slice: TransformSlice,
        _ source: SourceRecords,
        lambdaARN: String?,
        now: Timestamp
    ) {
        self.slice = slice
        self.source = source
        self.lambdaARN = lambdaARN
        self.now = now
    }

    /// The batch; nil where nothing is left of the slice to be delivered.
    mutating func make(
        _ results: [TransformSlice.Result],
        responses: [Block],
        progress: OutcomeRecord.Progress
    ) -> RecordBatch? {
        var bytes = 0
        var count = 0
        for (item, result) in results.enumerated() {
            switch result {
            case .dropped: continue
            case .ok(_, let range): bytes += range.count
            case .failed(let error, let message, let attempts):
                addLine(item, error.rawValue, message, attempts: attempts, lambdaARN)
                bytes += lines.count - (lineEnds.dropLast().last ?? 0)
            case .notExpanded(let failure):
                addLine(item, failure.code, failure.message, attempts: 1, nil)
                bytes += lines.count - (lineEnds.dropLast().last ?? 0)
            }
            count += 1
        }
        guard count > 0 else { return nil }
        let overhead = RecordBatch.lengthPrefixBytes + OutcomeRecord.tagBytes
        var builder = RecordBatch.Builder(
            capacity: bytes + (count + 1) * overhead + OutcomeRecord.Progress.byteCount
        )
        builder.appendRecord { space in
            space[0] = OutcomeRecord.progress.rawValue
            progress.write(to: UnsafeMutableRawBufferPointer(rebasing: space[1...]))
            return OutcomeRecord.tagBytes + OutcomeRecord.Progress.byteCount
        }
        var line = 0
        for result in results {
            switch result {
            case .dropped: break
            case .ok(let response, let range):
                let data = response.map { responses[$0] } ?? slice.data
                Self.append(.delivered, data.bytes, range, to: &builder)
            case .failed, .notExpanded:
                let start = line == 0 ? 0 : lineEnds[line - 1]
                var kind = OutcomeRecord.processingFailed
                if case .notExpanded(.decompression) = result { kind = .decompressionFailed }
                lines.withUnsafeBytes { lines in
                    Self.append(kind, lines, start..<lineEnds[line], to: &builder)
                }
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
        let start = lines.count
        lines.append(
            contentsOf: repeatElement(0, count: (original.count + 2) / 3 * 4)
        )
        let data = UnsafeRawBufferPointer(rebasing: slice.data.bytes[original])
        lines.withUnsafeMutableBufferPointer { lines in
            _ = hydrant_base64_encode(
                data.baseAddress?.assumingMemoryBound(to: UInt8.self),
                data.count,
                lines.baseAddress?.advanced(by: start)
            )
        }
        put(#"","errorCode":\#(Self.quoted(code)),"errorMessage":\#(Self.quoted(message))"#)
        put(#","attemptsMade":\#(attempts)"#)
        put(#","arrivalTimestamp":\#(slice.arrival(of: item, source).milliseconds)"#)
        put(#","attemptEndingTimestamp":\#(now.milliseconds)"#)
        if let lambdaARN { put(#","lambdaARN":\#(Self.quoted(lambdaARN))"#) }
        put("}")
        lineEnds.append(lines.count)
    }

    private mutating func put(_ text: String) { lines.append(contentsOf: text.utf8) }

    /// A text as JSON.
    private static func quoted(_ text: String) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        guard let json = try? encoder.encode(text) else { return "\"\"" }  // every text has a form
        return String(decoding: json, as: UTF8.self)
    }
}
