internal import Compression
internal import Destinations
internal import Records

/// Puts records one behind the other without their length prefixes, in pieces that are worth a call,
/// through compression into a file.
///
/// Unchecked because of its buffers: it is used by one thread at a time, which its owner sees to.
final class PartWriter: @unchecked Sendable {
    private static let spaceBytes = 256 * 1024

    private let plan: ObjectPlan
    private let compressor: any Compressor
    private let delimiter: [UInt8]
    private var output: SpoolWriter?
    private let space = UnsafeMutableRawBufferPointer.allocate(
        byteCount: PartWriter.spaceBytes,
        alignment: 16
    )
    private var used = 0
    private(set) var records = 0
    private var dataBytes: UInt64 = 0
    private var isDelimiterDue = false

    init(_ plan: ObjectPlan, output: consuming SpoolWriter, compressor: any Compressor) {
        self.plan = plan
        self.compressor = compressor
        delimiter = Array((plan.recordDelimiter ?? "").utf8)
        self.output = consume output
    }

    deinit { space.deallocate() }

    /// Adds a record.
    func add(_ record: UnsafeRawBufferPointer) throws {
        try endRecord()
        try put(record)
        records += 1
        dataBytes += UInt64(record.count)
        isDelimiterDue = !delimiter.isEmpty
    }

    private func endRecord() throws {
        guard isDelimiterDue else { return }
        try delimiter.withUnsafeBytes { try put($0) }
        isDelimiterDue = false
    }

    private func put(_ bytes: UnsafeRawBufferPointer) throws {
        if used + bytes.count > space.count { try flush() }
        if bytes.count > space.count { return try compress(bytes) }
        UnsafeMutableRawBufferPointer(rebasing: space[used...]).copyMemory(from: bytes)
        used += bytes.count
    }

    private func flush() throws {
        guard used > 0 else { return }
        try compress(UnsafeRawBufferPointer(rebasing: space[..<used]))
        used = 0
    }

    private func compress(_ bytes: UnsafeRawBufferPointer) throws {
        try compressor.write(bytes) { try output?.write($0) }
    }

    /// The object; nothing may be added after.
    ///
    /// - Throws: What the disk says, and then the records have to be gathered anew.
    func finish(_ failure: ErrorOutputType?) throws -> Spooler.Part {
        // Lines are ended, not separated: so two objects can be put one behind the other.
        if failure != nil { try endRecord() }
        try flush()
        try compressor.finish { try output?.write($0) }
        guard let output = output.take() else { preconditionFailure("an object ends once") }
        let object = try output.finish()
        return Spooler.Part(
            plan: plan,
            object: object,
            records: records,
            dataBytes: dataBytes,
            failure: failure
        )
    }
}
