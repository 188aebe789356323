internal import Platform
package import Records

/// A log's files, looked at from end to end and not changed: what can be read of it, and what cannot.
package struct LogExamination: Sendable {
    /// A place that cannot be read, or does not hold what was written.
    package struct Finding: Sendable, Hashable {
        /// The file, and where in it.
        package var place: String
        /// What is wrong.
        package var reason: String
    }

    /// How many segments it has.
    package private(set) var segments = 0
    /// Records that can be read.
    package private(set) var records: UInt64 = 0
    /// Behind its last frame.
    package private(set) var end = LogMark.start
    /// What is wrong with its segments: these records are lost, and the others can be delivered.
    package private(set) var damage: [Finding] = []
    /// What is wrong with its checkpoints: the log cannot be opened.
    package private(set) var checkpoints: [Finding] = []
    /// Checkpoint files of which the newer half may be unreadable: the log is opened, and what was
    /// delivered last may be delivered again.
    package private(set) var doubts: [Finding] = []
    /// Its checkpoints that can be read, by their readers.
    package private(set) var marks: [String: LogMark] = [:]

    /// Reads a log's folder.
    ///
    /// - Throws: Where it cannot be read at all, or a later version wrote it.
    package init(folder: String) throws {
        var slots: [CheckpointFile.Slot] = []
        for name in try Folder.list(folder) where name.hasSuffix(CheckpointFile.suffix) {
            let path = folder + "/" + name
            do {
                let content = try CheckpointFile(path).load()
                if content.isDamaged {
                    checkpoints.append(Finding(place: path, reason: "neither slot can be read"))
                } else if let failure = content.failure {
                    doubts.append(Finding(place: path, reason: "\(failure)"))
                }
                if let slot = content.slot {
                    slots.append(slot)
                    marks[String(name.dropLast(CheckpointFile.suffix.count))] = slot.mark
                }
            } catch {
                checkpoints.append(Finding(place: path, reason: "\(error)"))
            }
        }
        let found = try LogRecovery(
            folder: folder,
            files: SegmentFiles(maximum: Limits.maximumOpenSegments),
            knownIdentity: slots.first?.logIdentity,
            floors: [],
            isReadOnly: true
        )
        segments = found.segments.count
        damage = found.damagedHeaders.map { Finding(place: $0, reason: "no valid segment header") }
        if found.lostItsEnd {
            let place = found.segments.last?.file.path ?? folder
            damage.append(Finding(place: place, reason: "the log's end cannot be read"))
        }
        try readAll(found)
        end = found.end
    }

    private mutating func readAll(_ found: LogRecovery) throws {
        let limit = found.end.position.offset
        var reader = FrameReader(
            found.segments,
            of: UInt32(truncatingIfNeeded: found.logIdentity),
            limit: limit,
            windowBytes: 1024 * 1024
        )
        var offset = found.start.position.offset
        while offset < limit {
            switch try reader.frame(at: offset) {
            case .frame(let frame):
                if try reader.payload(of: frame) != nil {
                    records += UInt64(frame.recordCount)
                } else {
                    let failure = try reader.failure(of: frame)
                    let reason = failure.map { "\($0)" } ?? "wrong checksum"
                    try add(offset, frame.end.position.offset, reason, &reader)
                }
                offset = frame.end.position.offset
            case .damaged(let next, let reason):
                try add(offset, next, reason, &reader)
                offset = next
            }
        }
    }

    private mutating func add(
        _ start: UInt64,
        _ end: UInt64,
        _ reason: String,
        _ reader: inout FrameReader
    ) throws(SystemError) {
        let found = try reader.damage(from: start, to: end, reason: reason)
        damage.append(
            Finding(place: "\(found.location), \(end - start) bytes", reason: found.reason)
        )
    }
}
