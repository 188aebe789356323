package import Encryption
package import Platform
package import Records

/// What "durable" means for the answer to a put.
package enum Durability: String, Sendable, CaseIterable {
    /// Forced to disk before the answer.
    case fsync
    /// Handed to the operating system: survives the end of the process, not of the machine.
    case os
}

/// How logs are kept.
package struct LogOptions: Sendable {
    /// What an answered put has gone through.
    package var durability: Durability
    /// Bytes of a stream's first segment, and of its only one when it is idle.
    package var firstSegmentBytes: UInt64
    /// Bytes of its later ones, at the most: each is 32 times as large as the one before.
    package var segmentBytes: UInt64
    /// Undelivered bytes on disk at which a stream takes no more.
    package var maximumLogBytes: UInt64
    /// How much of the disk the log leaves.
    var diskFloor = DiskFloor.intake
    /// How much of the disk is free, of the file system that holds a path; nil where it cannot be told.
    package var freeBytes: @Sendable (String) -> UInt64?
    /// Appended bytes that may wait for the disk, for each stream.
    package var maximumQueuedBytes: Int
    /// Bytes that are written before one sync.
    package var maximumGroupBytes: Int
    /// Whether the folder of all logs is where the next start will look for it; where not, nothing is
    /// appended.
    package var isInPlace: @Sendable () -> Bool
    /// The keys that logs' data keys are wrapped by; nil where nothing is encrypted.
    package var masterKeys: MasterKeys?
    /// Whether all logs are encrypted, whatever their streams say.
    package var encryptsAll: Bool
    /// Told how long each sync of what was put took.
    package var onSync: (@Sendable (Duration) -> Void)?
    /// The clock that stamps arrivals.
    package var time: any TimeSource

    /// Options; by default those of `Limits`, with `fsync`.
    package init(
        durability: Durability = .fsync,
        firstSegmentBytes: UInt64 = Limits.firstSegmentBytes,
        segmentBytes: UInt64 = Limits.segmentBytes,
        maximumLogBytes: UInt64 = Limits.defaultMaximumLogBytesPerStream,
        freeBytes: @escaping @Sendable (String) -> UInt64? = Folder.freeBytes,
        maximumQueuedBytes: Int = Limits.maximumQueuedAppendBytes,
        maximumGroupBytes: Int = Limits.maximumGroupBytes,
        isInPlace: @escaping @Sendable () -> Bool = { true },
        masterKeys: MasterKeys? = nil,
        encryptsAll: Bool = false,
        onSync: (@Sendable (Duration) -> Void)? = nil,
        time: any TimeSource = SystemTime()
    ) {
        self.durability = durability
        self.firstSegmentBytes = firstSegmentBytes
        self.segmentBytes = segmentBytes
        self.maximumLogBytes = maximumLogBytes
        self.freeBytes = freeBytes
        self.maximumQueuedBytes = maximumQueuedBytes
        self.maximumGroupBytes = maximumGroupBytes
        self.isInPlace = isInPlace
        self.masterKeys = masterKeys
        self.encryptsAll = encryptsAll
        self.onSync = onSync
        self.time = time
    }
}

extension LogOptions {
    /// How large a log's segments are: they grow with what it gets.
    func segmentBytes(ofNumber number: Int) -> UInt64 {
        min(segmentBytes, firstSegmentBytes << min(30, UInt64(number) * 5))
    }
}

/// A log that cannot be opened or read, and why.
package enum LogError: StoredFormatError, ShortageError, CustomStringConvertible {
    /// A file of a later format: this program is too old for the folder.
    case otherVersion(path: String, version: UInt32)
    /// A checkpoint of which no slot can be read: where its reader stood is not known.
    case damagedCheckpoint(path: String)
    /// An encrypted frame whose key cannot be had.
    case encrypted(path: String, KeyFailure)
    /// The storage failed.
    case system(SystemError)

    /// See the protocol.
    package var isOfLaterVersion: Bool {
        if case .otherVersion = self { true } else { false }
    }

    /// See the protocol.
    package var shortage: String? {
        if case .system(let error) = self { error.shortage } else { nil }
    }

    package var description: String {
        switch self {
        case .otherVersion(let path, let version):
            "\(path) is of format \(version), this program reads format \(SegmentHeader.version): "
                + "start the version of hydrant that wrote it"
        case .damagedCheckpoint(let path):
            "\(path) is damaged in both slots: what was delivered is not known. hydrant check says "
                + "what can be done"
        case .encrypted(let path, let failure):
            "encrypted records cannot be opened with the keys in \(path): \(failure)"
        case .system(let error): error.description
        }
    }

    /// Gives the storage's errors a place among the log's.
    static func catching<Value>(_ body: () throws(SystemError) -> Value) throws(LogError) -> Value {
        do throws(SystemError) {
            return try body()
        } catch {
            throw .system(error)
        }
    }
}
