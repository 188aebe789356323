internal import Crypto
internal import Destinations
internal import Encryption
internal import Platform

/// The failed records of a buffer, on disk beside its journal entry, and what else came of it.
///
/// Once they are there the buffer's records are not sent again: so nothing that is in the bucket for
/// failed records is delivered by a later attempt as well.
package struct KeptFailures: Sendable, Codable, Hashable {
    /// One object.
    struct Part: Sendable, Codable, Hashable {
        var type: ErrorOutputType
        /// Whether it is kept on this server's disk, not in the bucket.
        var isSetAside: Bool
        var records: Int
        var dataBytes: UInt64
        var byteCount: UInt64
        var sha256: [UInt8]

        /// Its file's name, which says whether it is encrypted.
        var name: String
    }

    /// What the log tells of the buffer.
    struct Counts: Sendable, Codable, Hashable {
        var records = 0
        var failed = 0
        var bytes = 0
        var requests = 0
        var attempts = 0
    }

    /// A kept object that is not what it was.
    struct Damaged: Error, CustomStringConvertible {
        var description: String
    }

    var parts: [Part]
    var counts: Counts
    /// Whether some of them were given up, and the destination did not refuse them.
    var hasGivenUp: Bool
}

extension InFlightJournal {
    private static let encryptedSuffix = ".sealed"

    /// Makes failed records durable, and with them the fate of all records of their buffer.
    ///
    /// Blocks.
    ///
    /// - Returns: The entry as it is now.
    func keep(
        _ parts: [Spooler.Part],
        _ setAside: Spooler.Part?,
        of entry: JournalEntry,
        counts: KeptFailures.Counts,
        hasGivenUp: Bool
    ) throws -> JournalEntry {
        let folder = failuresFolder(entry.sequence)
        func keep(_ part: Spooler.Part, isSetAside: Bool) throws -> KeptFailures.Part {
            guard let type = part.failure else {
                preconditionFailure("a failed record has a type")
            }
            var name = isSetAside ? "set-aside" : type.rawValue
            var object = part.object
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
            return KeptFailures.Part(
                type: type,
                isSetAside: isSetAside,
                records: part.records,
                dataBytes: part.dataBytes,
                byteCount: part.object.byteCount,
                sha256: part.object.sha256,
                name: name
            )
        }
        var kept = try parts.map { try keep($0, isSetAside: false) }
        if let setAside { kept.append(try keep(setAside, isSetAside: true)) }
        var entry = entry
        entry.failures = KeptFailures(parts: kept, counts: counts, hasGivenUp: hasGivenUp)
        try add(entry)
        return entry
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

    /// Opens what was kept of an entry.
    ///
    /// Blocks.
    func failures(
        of entry: JournalEntry,
        _ masterKeys: MasterKeys?
    ) throws -> (parts: [Spooler.Part], setAside: Spooler.Part?) {
        var parts: [Spooler.Part] = []
        var setAside: Spooler.Part?
        let plans = entry.failureObjects
        for kept in entry.failures?.parts ?? [] {
            let path = failuresFolder(entry.sequence) + "/" + kept.name
            guard let plan = plans[kept.type] else { throw Spooler.UnknownOutcome() }
            guard Folder.exists(path) else {
                throw KeptFailures.Damaged(description: "\(path) is missing")
            }
            let file = try File(path, .read)
            var content: any ByteSource = file
            if kept.name.hasSuffix(Self.encryptedSuffix) {
                guard let masterKeys else {
                    throw Failure(description: "\(path) is encrypted, and there are no master keys")
                }
                do throws(EncryptedFile.Failure) {
                    content = try EncryptedFile(file, masterKeys)
                } catch {
                    if case .key = error { throw error }
                    throw KeptFailures.Damaged(description: "\(error)")
                }
            }
            guard try Self.hash(of: content, kept.byteCount) == kept.sha256 else {
                throw KeptFailures.Damaged(description: "\(path) has another content")
            }
            let part = Spooler.Part(
                plan: plan,
                object: SpooledObject(
                    content: content,
                    byteCount: kept.byteCount,
                    sha256: kept.sha256
                ),
                records: kept.records,
                dataBytes: kept.dataBytes,
                failure: kept.type
            )
            if kept.isSetAside { setAside = part } else { parts.append(part) }
        }
        return (parts, setAside)
    }
}
