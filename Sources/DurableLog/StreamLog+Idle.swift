internal import Logging
internal import Platform
internal import Records
internal import Synchronization

/// What a log gives back while nothing is appended to it.
extension StreamLog {
    /// Lets go of the disk space of a log to which nothing was appended since the last call, and whose
    /// records are all delivered.
    ///
    /// Blocks.
    func tidy() {
        let wasActive = durable.withLock { tail in
            defer { tail.isActive = false }
            return tail.isActive
        }
        guard !wasActive, hasSurplus, queue.withLock({ $0.beginUpkeep() }) else { return }
        let isDone = writer.withLock { shrink(&$0) }
        if isDone { releasePassedSegments() }
        groupEnded()
    }

    /// Whether all is delivered, and what its segments take is more than an idle log needs.
    private var hasSurplus: Bool {
        let end = tail.position
        let slowest = checkpoints.withLock { $0.values.map(\.position).min() }
        guard let slowest, slowest >= end else { return false }
        return segments.withLock { list in
            list.count > 1 || list.contains { $0.capacity > options.firstSegmentBytes }
        }
    }

    /// Begins a small segment where the log ends; those before it have all been passed.
    private func shrink(_ writer: inout Writer) -> Bool {
        guard hasSurplus, options.isInPlace() else { return false }
        do throws(SystemError) {
            let segment = try maker.makeSmallest(at: writer.end)
            writer.segmentCount = 0
            goOn(in: segment, &writer)
            return true
        } catch {
            // Before that, the segment that grows is as it was: it has its place on a disk that is full.
            if [.rename, .syncFolder].contains(error.call) { writer.current = nil }
            logger.warning(
                "the disk space of an idle log could not be released; retrying",
                metadata: ["folder": "\(folder)", "error": "\(error)"]
            )
            return false
        }
    }
}
