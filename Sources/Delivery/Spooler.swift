internal import Compression
internal import Crypto
internal import Destinations
internal import Platform
internal import Records
internal import Sealing

/// Turns a range of the log into an object's content, in a file without a name.
struct Spooler: Sendable {
    /// Where spool files lie.
    ///
    /// They are made anew after a restart, so they are never synced.
    let folder: String
    /// For GZIP and ZIP: 1 (fast) to 9 (small).
    let compressionLevel: Int
    /// For the spool files of logs that are sealed.
    let masterKeys: MasterKeys?

    /// What a range came to.
    struct Spool: Sendable {
        var object: SpooledObject
        var records: Int
        var dataBytes: UInt64
        var damaged: [LogDamage]
    }

    /// Reads and compresses a range; `goOn` throws where that is no longer wanted.
    ///
    /// Blocks. The file is gone with the last reference to it.
    func spool(
        _ log: any RecordLog,
        _ entry: JournalEntry,
        name: String,
        goOn: () throws -> Void
    ) throws
        -> Spool
    {
        let path = folder + "/" + name
        let file = try File(path, .replace)
        try Folder.remove(path)  // the open file lives on, and a crash leaves nothing behind
        let compressor = compressor(for: entry.plan)
        var output = ObjectWriter(
            file: file,
            masterKeys: log.isSealingInUse ? masterKeys : nil
        )
        var gathered = Gatherer()
        var records = 0
        var dataBytes: UInt64 = 0
        var damaged: [LogDamage] = []
        try log.read(from: entry.start, to: entry.end) { chunk in
            try goOn()
            switch chunk {
            case .damaged(let damage):
                damaged.append(damage)
            case .records(let layout, let count, _):
                records += count
                dataBytes += UInt64(layout.count - count * RecordBatch.lengthPrefixBytes)
                try gathered.add(layout) { part in
                    try compressor.write(part) { try output.write($0) }
                }
            }
        }
        try gathered.flush { part in try compressor.write(part) { try output.write($0) } }
        try compressor.finish { try output.write($0) }
        return Spool(
            object: try output.finish(),
            records: records,
            dataBytes: dataBytes,
            damaged: damaged
        )
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

/// Puts records one behind the other without their length prefixes, in pieces that are worth a call.
private struct Gatherer: ~Copyable {
    private let space = UnsafeMutableRawBufferPointer.allocate(
        byteCount: 256 * 1024,
        alignment: 16
    )
    private var count = 0

    deinit { space.deallocate() }

    mutating func add(
        _ layout: UnsafeRawBufferPointer,
        _ sink: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        var place = 0
        while let end = RecordLayout.end(ofRecordAt: place, in: layout) {
            let record = UnsafeRawBufferPointer(
                rebasing: layout[place + RecordBatch.lengthPrefixBytes..<end]
            )
            if count + record.count > space.count { try flush(sink) }
            if record.count > space.count {
                try sink(record)
            } else {
                UnsafeMutableRawBufferPointer(rebasing: space[count...]).copyMemory(from: record)
                count += record.count
            }
            place = end
        }
    }

    mutating func flush(_ sink: (UnsafeRawBufferPointer) throws -> Void) throws {
        guard count > 0 else { return }
        try sink(UnsafeRawBufferPointer(rebasing: space[..<count]))
        count = 0
    }
}

/// Writes an object's content, sealed where there are keys to do it, and hashes it on the way.
private struct ObjectWriter: ~Copyable {
    private let file: File
    private var sealed: SealedFile.Writer?
    private var byteCount: UInt64 = 0
    private var hash = SHA256()

    init(file: File, masterKeys: MasterKeys?) {
        self.file = file
        if let masterKeys {
            sealed = SealedFile.Writer(file, masterKeys)
        } else {
            sealed = nil
        }
    }

    mutating func write(_ bytes: UnsafeRawBufferPointer) throws {
        if sealed == nil {
            try file.write(bytes, at: byteCount)
        } else {
            try sealed?.write(bytes)
        }
        hash.update(bufferPointer: bytes)
        byteCount += UInt64(bytes.count)
    }

    consuming func finish() throws -> SpooledObject {
        let sha256 = Array(hash.finalize())
        let byteCount = byteCount
        var content: any ByteSource = file
        if let sealed { content = try sealed.finish() }
        return SpooledObject(content: content, byteCount: byteCount, sha256: sha256)
    }
}
