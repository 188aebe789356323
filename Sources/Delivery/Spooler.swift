internal import Compression
internal import Crypto
internal import Destinations
internal import Encryption
internal import Platform
internal import Records

/// Turns a range of a log into objects' content, each in a file without a name.
struct Spooler: Sendable {
    /// Where spool files lie.
    ///
    /// They are made anew after a restart, so they are never synced.
    let folder: String
    /// For GZIP and ZIP: 1 (fast) to 9 (small).
    let compressionLevel: Int
    /// For the spool files of logs that are encrypted.
    let masterKeys: MasterKeys?

    /// What a range came to.
    struct Spool: Sendable {
        /// What there is to send; none where the range has no records.
        var parts: [Part]
        var damaged: [LogDamage]
    }

    /// One object.
    struct Part: Sendable {
        var plan: ObjectPlan
        var object: SpooledObject
        var records: Int
        var dataBytes: UInt64
        /// What its records failed at; nil for those that did not.
        var failure: ErrorOutputType?
    }

    /// Reads and compresses a range; `goOn` throws where that is no longer wanted.
    ///
    /// Blocks. The files are gone with the last reference to them.
    func spool(
        _ log: any RecordLog,
        _ entry: JournalEntry,
        name: String,
        goOn: () throws -> Void
    ) throws -> Spool {
        var damaged: [LogDamage] = []
        let isEncrypted = log.isEncryptionInUse
        func writer(_ plan: ObjectPlan, _ suffix: String) throws -> PartWriter {
            try self.writer(plan, name: name + suffix, isEncrypted: isEncrypted)
        }
        let main = try writer(entry.plan, "")
        var failures: [ErrorOutputType: PartWriter] = [:]
        try log.read(from: entry.start, to: entry.end) { chunk in
            try goOn()
            switch chunk {
            case .damaged(let damage):
                damaged.append(damage)
            case .records(let layout, _, _):
                try RecordLayout.forEachRecord(in: layout) { record in
                    guard let plans = entry.failurePlans else { return try main.add(record) }
                    guard let kind = record.first.flatMap(OutcomeRecord.init(rawValue:)) else {
                        throw UnknownOutcome()
                    }
                    let content = UnsafeRawBufferPointer(
                        rebasing: record.dropFirst(OutcomeRecord.tagBytes)
                    )
                    guard let type = kind.errorOutputType else {
                        return kind == .delivered ? try main.add(content) : ()
                    }
                    if failures[type] == nil, let plan = plans[type.rawValue] {
                        failures[type] = try writer(plan, "-\(type.rawValue)")
                    }
                    guard let writer = failures[type] else { throw UnknownOutcome() }
                    try writer.add(content)
                }
            }
        }
        var parts: [Part] = []
        if main.records > 0 { parts.append(try main.finish(nil)) }
        for type in ErrorOutputType.ofProcessing {
            if let writer = failures[type] { parts.append(try writer.finish(type)) }
        }
        return Spool(parts: parts, damaged: damaged)
    }

    /// Makes an object out of records that are given one by one.
    func writer(_ plan: ObjectPlan, name: String, isEncrypted: Bool) throws -> PartWriter {
        try PartWriter(
            plan,
            path: "\(folder)/\(name)",
            masterKeys: isEncrypted ? masterKeys : nil,
            compressor: compressor(for: plan)
        )
    }

    /// A record that a later version of this program wrote.
    struct UnknownOutcome: Error, CustomStringConvertible {
        var description: String { "an outcome is of a kind that this version does not know" }
    }

    private func compressor(for plan: ObjectPlan) -> any Compressor {
        switch plan.compression {
        case .gzip: return GzipCompressor(level: compressionLevel)
        case .zip:
            let time = CivilTime(plan.arrival)
            return ZipCompressor(
                name: plan.uuid,
                modified: (time.year, time.month, time.day, time.hour, time.minute, time.second),
                level: compressionLevel
            )
        case .uncompressed, .snappy, .hadoopSnappy: return IdentityCompressor()
        }
    }
}

/// Puts records one behind the other without their length prefixes, in pieces that are worth a call,
/// through compression into a file.
///
/// Unchecked because of its buffers: it is used by one thread at a time, which its owner sees to.
final class PartWriter: @unchecked Sendable {
    private static let spaceBytes = 256 * 1024

    private let plan: ObjectPlan
    private let compressor: any Compressor
    private let delimiter: [UInt8]
    private var output: ObjectWriter?
    private let space = UnsafeMutableRawBufferPointer.allocate(
        byteCount: PartWriter.spaceBytes,
        alignment: 16
    )
    private var used = 0
    private(set) var records = 0
    private var dataBytes: UInt64 = 0
    private var isDelimiterDue = false
    private var finished: Spooler.Part?

    fileprivate init(
        _ plan: ObjectPlan,
        path: String,
        masterKeys: MasterKeys?,
        compressor: any Compressor
    ) throws {
        self.plan = plan
        self.compressor = compressor
        delimiter = Array((plan.recordDelimiter ?? "").utf8)
        let file = try File(path, .replace)
        try Folder.remove(path)  // the open file lives on, and a crash leaves nothing behind
        output = ObjectWriter(file: file, masterKeys: masterKeys)
    }

    deinit { space.deallocate() }

    /// Adds a record, or throws and has added nothing, so that it can be added again.
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

    /// A spool file whose end was lost: what is in it has to be gathered again.
    struct Lost: Error, CustomStringConvertible {
        var description: String { "the end of a spool file could not be written" }
    }

    /// The object; nothing may be added after, and it may be asked for again.
    func finish(_ failure: ErrorOutputType?) throws -> Spooler.Part {
        if let finished { return finished }
        // Lines are ended, not separated: so two objects can be put one behind the other.
        if failure != nil { try endRecord() }
        try flush()
        try compressor.finish { try output?.write($0) }
        guard let output = output.take() else { throw Lost() }
        let object = try output.finish()
        let part = Spooler.Part(
            plan: plan,
            object: object,
            records: records,
            dataBytes: dataBytes,
            failure: failure
        )
        finished = part
        return part
    }
}

/// Writes an object's content, encrypted where there are keys to do it, and hashes it on the way.
private struct ObjectWriter: ~Copyable {
    private let file: File
    private var encrypted: EncryptedFile.Writer?
    private var byteCount: UInt64 = 0
    private var hash = SHA256()

    init(file: File, masterKeys: MasterKeys?) {
        self.file = file
        if let masterKeys {
            encrypted = EncryptedFile.Writer(file, masterKeys)
        } else {
            encrypted = nil
        }
    }

    mutating func write(_ bytes: UnsafeRawBufferPointer) throws {
        if encrypted == nil {
            try file.write(bytes, at: byteCount)
        } else {
            try encrypted?.write(bytes)
        }
        hash.update(bufferPointer: bytes)
        byteCount += UInt64(bytes.count)
    }

    consuming func finish() throws -> SpooledObject {
        let sha256 = Array(hash.finalize())
        let byteCount = byteCount
        var content: any ByteSource = file
        if let encrypted { content = try encrypted.finish() }
        return SpooledObject(content: content, byteCount: byteCount, sha256: sha256)
    }
}
