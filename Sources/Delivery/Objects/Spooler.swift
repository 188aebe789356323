internal import Compression
package import Destinations
package import Encryption
internal import Platform
internal import Records

/// Turns a range of a log into objects' content, each in a file without a name.
package struct Spooler: Sendable {
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
    package struct Part: Sendable {
        /// Where it goes.
        package var plan: ObjectPlan
        /// Its content.
        package var object: SpooledObject
        /// How many records it holds.
        package var records: Int
        /// Bytes of their data.
        package var dataBytes: UInt64
        /// What its records failed at; nil for those that did not.
        package var failure: ErrorOutputType?
    }

    /// Spools into a folder.
    package init(folder: String, compressionLevel: Int, masterKeys: MasterKeys?) {
        self.folder = folder
        self.compressionLevel = compressionLevel
        self.masterKeys = masterKeys
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
            case .records(let records):
                try RecordLayout.forEachRecord(in: records.layout) { record in
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
        PartWriter(
            plan,
            output: try spoolWriter(name: name, isEncrypted: isEncrypted),
            compressor: compressor(for: plan)
        )
    }

    /// A file for content of any kind.
    func spoolWriter(name: String, isEncrypted: Bool) throws -> SpoolWriter {
        let path = "\(folder)/\(name)"
        let file = try File(path, .replace)
        try Folder.remove(path)  // the open file lives on, and a crash leaves nothing behind
        return SpoolWriter(file: file, masterKeys: isEncrypted ? masterKeys : nil)
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
