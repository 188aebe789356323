internal import Crypto
package import Destinations
package import Encryption
internal import Foundation
package import Platform
package import Records
internal import Synchronization

/// A journal in a folder of its own, a file for each entry.
package final class FileJournal: BufferJournal {
    private static let suffix = ".json"
    private static let failuresSuffix = ".failed"
    private static let encryptedSuffix = ".sealed"
    private static let keptName = "records"

    private let folder: String
    private let threads: WorkerThreads
    private let masterKeys: MasterKeys?
    /// By their sequence numbers, as they are on disk: one server has the folder, and one task a buffer.
    private let entries = Mutex<[UInt64: JournalEntry]>([:])

    /// A journal that cannot be used, and why.
    package struct Failure: StoredFormatError, CustomStringConvertible {
        /// What is wrong, and where.
        package var description: String
        /// See the protocol.
        package var isOfLaterVersion = false
    }

    /// A journal in `folder`, which is created if it is missing.
    ///
    /// - Parameters:
    ///   - folder: The folder.
    ///   - threads: For what touches the disk.
    ///   - masterKeys: The keys that what is kept is encrypted with, where the log is.
    /// - Throws: What the storage says.
    package init(
        folder: String,
        threads: WorkerThreads,
        masterKeys: MasterKeys?
    ) throws(SystemError) {
        self.folder = folder
        self.threads = threads
        self.masterKeys = masterKeys
        try Folder.create(folder)
    }

    package func load() throws -> [JournalEntry] {
        var found: [JournalEntry] = []
        for name in try Folder.list(folder) where name.hasSuffix(Self.suffix) {
            found.append(try Self.entry(at: folder + "/" + name))
        }
        entries.withLock { entries in
            for entry in found { entries[entry.sequence] = entry }
        }
        return found.sorted { $0.sequence < $1.sequence }
    }

    private static func entry(at path: String) throws(Failure) -> JournalEntry {
        let entry: JournalEntry
        do {
            let bytes = try Folder.readFile(path)
            entry = try JSONDecoder().decode(JournalEntry.self, from: Data(bytes))
        } catch {
            throw Failure(description: "the journal entry \(path) cannot be read: \(error)")
        }
        guard entry.version >= 1 else {
            throw Failure(
                description:
                    "the journal entry \(path) is of format \(entry.version), which is not "
                    + "valid"
            )
        }
        guard entry.version <= 3 else {
            throw Failure(
                description:
                    "the journal entry \(path) is of format \(entry.version), later than 3: "
                    + "start the version of hydrant that wrote it",
                isOfLaterVersion: true
            )
        }
        return entry
    }

    /// What is wrong with the entries in a folder, which is not changed.
    ///
    /// Blocks. `checkpoint` is where its way goes on; nil where that is not known.
    package static func problems(in folder: String, checkpoint: LogMark?) -> [String] {
        do {
            var problems: [String] = []
            var place = checkpoint?.position
            for name in try Folder.list(folder).sorted() where name.hasSuffix(suffix) {
                let path = folder + "/" + name
                do throws(Failure) {
                    let entry = try entry(at: path)
                    if let checkpoint, entry.end.position <= checkpoint.position { continue }
                    if let place, entry.start.position != place {
                        problems.append(gap(path).description)
                    }
                    place = entry.end.position
                } catch {
                    problems.append(error.description)
                    // Whether the next one joins it is not known.
                    place = nil
                }
            }
            return problems
        } catch {
            return ["\(error)"]
        }
    }

    private static func gap(_ path: String) -> Failure {
        Failure(
            description:
                "the journal entry \(path) does not join what is before it: its folder or the "
                + "checkpoint was changed"
        )
    }

    package func resume(from checkpoint: LogMark) throws -> [JournalEntry] {
        let all = entries.withLock { $0.values.sorted { $0.sequence < $1.sequence } }
        for entry in all where entry.end.position <= checkpoint.position {
            try remove(entry.sequence)
        }
        let open = all.filter { $0.end.position > checkpoint.position }
        var place = checkpoint.position
        for entry in open {
            guard entry.start.position == place else {
                throw Self.gap(path(entry.sequence))
            }
            place = entry.end.position
        }
        let kept = Set(open.map { failuresFolder($0.sequence) })
        for name in try Folder.list(folder) where name.hasSuffix(Self.failuresSuffix) {
            let path = folder + "/" + name
            if !kept.contains(path) { try Folder.remove(path) }
        }
        return open
    }

    package func propose(_ entry: JournalEntry) async throws -> JournalEntry {
        try await threads.run { [self] _ in try write(entry) }
        return entry
    }

    package func note(_ note: JournalNote, of sequence: UInt64) async throws {
        var entry = try entry(sequence)
        entry.merge(note)
        try await threads.run { [self, entry] _ in try write(entry) }
    }

    package func forget(_ sequences: [UInt64]) async throws {
        guard !sequences.isEmpty else { return }
        try await threads.run { [self] _ in for sequence in sequences { try remove(sequence) } }
    }

    private func entry(_ sequence: UInt64) throws(Failure) -> JournalEntry {
        guard let entry = entries.withLock({ $0[sequence] }) else {
            throw Failure(description: "the journal has no buffer \(sequence)")
        }
        return entry
    }

    /// Makes an entry durable, in place of what it was before.
    private func write(_ entry: JournalEntry) throws {
        let bytes = try JSONEncoder().encode(entry)
        // What a destination is reached with is in it.
        try Folder.replaceFile(path(entry.sequence), with: [UInt8](bytes), permissions: 0o600)
        entries.withLock { $0[entry.sequence] = entry }
    }

    /// A removal that a crash undoes is harmless: the checkpoint has passed it.
    private func remove(_ sequence: UInt64) throws(SystemError) {
        try Folder.remove(path(sequence))
        let failures = failuresFolder(sequence)
        if Folder.exists(failures) { try Folder.remove(failures) }
        entries.withLock { $0[sequence] = nil }
    }

    private func failuresFolder(_ sequence: UInt64) -> String {
        base(sequence) + Self.failuresSuffix
    }

    private func path(_ sequence: UInt64) -> String { base(sequence) + Self.suffix }

    private func base(_ sequence: UInt64) -> String {
        folder + "/" + CivilTime.padded(Int(sequence), 12)
    }

    // MARK: Failed records

    package func keep(
        _ records: SpooledObject,
        _ summary: FailureSummary,
        of sequence: UInt64
    ) async throws {
        let kept = try await threads.run { [self] _ in
            let folder = failuresFolder(sequence)
            var name = Self.keptName
            var object = records
            if let encrypted = object.content as? EncryptedFile {
                name += Self.encryptedSuffix
                object.content = encrypted.file
                object.byteCount = try encrypted.file.size()
            }
            try Folder.create(folder)
            try LocalBucketStore.store(
                object,
                temporary: "\(folder)/.\(name)",
                path: "\(folder)/\(name)"
            )
            return KeptRecords(
                summary: summary,
                byteCount: records.byteCount,
                sha256: records.sha256,
                name: name
            )
        }
        try await note(.kept(kept), of: sequence)
    }

    package func kept(of sequence: UInt64) async throws -> KeptContent {
        let entry = try entry(sequence)
        return try await threads.run { [self] _ in
            if let kept = entry.kept {
                let content = try open(kept.name, kept.byteCount, kept.sha256, of: sequence)
                return .records(FailedRecords(content, byteCount: kept.byteCount))
            }
            return try objects(of: entry)
        }
    }

    private func objects(of entry: JournalEntry) throws -> KeptContent {
        var parts: [Spooler.Part] = []
        var setAside: Spooler.Part?
        let plans = entry.failureObjects
        for kept in entry.failures?.parts ?? [] {
            guard let type = ErrorOutputType(rawValue: kept.type), let plan = plans[type] else {
                throw Spooler.UnknownOutcome()
            }
            let content = try open(kept.name, kept.byteCount, kept.sha256, of: entry.sequence)
            let part = Spooler.Part(
                plan: plan,
                object: SpooledObject(
                    content: content,
                    byteCount: kept.byteCount,
                    sha256: kept.sha256
                ),
                records: kept.records,
                dataBytes: kept.dataBytes,
                failure: type
            )
            if kept.isSetAside { setAside = part } else { parts.append(part) }
        }
        return .objects(parts, setAside: setAside)
    }

    private func open(
        _ name: String,
        _ byteCount: UInt64,
        _ sha256: [UInt8],
        of sequence: UInt64
    ) throws -> any ByteSource {
        let path = failuresFolder(sequence) + "/" + name
        guard Folder.exists(path) else { throw KeptDamage(description: "\(path) is missing") }
        let file = try File(path, .read)
        var content: any ByteSource = file
        if name.hasSuffix(Self.encryptedSuffix) {
            guard let masterKeys else {
                throw Failure(description: "\(path) is encrypted, and there are no master keys")
            }
            do throws(EncryptedFile.Failure) {
                content = try EncryptedFile(file, masterKeys)
            } catch {
                if case .key = error { throw error }
                throw KeptDamage(description: "\(error)")
            }
        }
        guard try Self.hash(of: content, byteCount) == sha256 else {
            throw KeptDamage(description: "\(path) has another content")
        }
        return content
    }

    private static func hash(of content: any ByteSource, _ byteCount: UInt64) throws -> [UInt8]? {
        var hash = SHA256()
        let space = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 * 1024, alignment: 16)
        defer { space.deallocate() }
        var place: UInt64 = 0
        while place < byteCount {
            let count = try content.read(into: space, at: place)
            guard count > 0 else { return nil }
            hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: space[..<count]))
            place += UInt64(count)
        }
        return Array(hash.finalize())
    }
}
