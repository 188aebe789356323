internal import Delivery
internal import Records
internal import Synchronization
internal import Transforms

extension StreamDelivery {
    /// Sends what was put before now without waiting for more, or tells of a flush that was asked for
    /// before; one that nobody knows any more begins anew.
    ///
    /// What is transformed is sent on as well, whether or not anybody asks again.
    ///
    /// - Returns: Its number, and how many records of it are on their way; nil where records stay in the
    ///   log.
    /// - Throws: LimitExceeded where too many are under way.
    func flush(
        _ number: UInt64?
    ) throws(FirehoseError) -> (number: UInt64, pending: UInt64)? {
        guard !main.pipeline.isParked else { return nil }
        let (stage, outcome, backup) = parts.withLock { ($0.stage, $0.outcome, $0.backup) }
        let found = flushes.target(number, upTo: log.tail) { old in
            main.pipeline.hasPassed(old.source)
                && backup?.pipeline.hasPassed(old.source) ?? true
                && (outcome == nil
                    || old.outcome.map { outcome?.way.pipeline.hasPassed($0) ?? true } ?? false)
        }
        guard let target = found else {
            throw FirehoseError(.limitExceeded, "Too many flushes of the stream are under way.")
        }
        // The stream's own log waits for it.
        if stage == nil, let outcome { _ = outcome.way.pipeline.flush(to: outcome.log.log.tail) }
        var pending = main.pipeline.flush(to: target.source)
        if let backup { pending = max(pending, backup.pipeline.flush(to: target.source)) }
        guard let outcome else { return (target.number, pending) }
        if target.outcome == nil { passFlushesOn(to: outcome) }
        guard let end = flushes.current(target).outcome else {
            return (target.number, max(pending, 1))
        }
        let further = outcome.way.pipeline.pendingRecords(before: end)
        let (sum, isTooMuch) = pending.addingReportingOverflow(further)
        return (target.number, isTooMuch ? .max : sum)
    }

    private func passFlushesOn(to outcome: Outcome) {
        guard !passFlushes(to: outcome) else { return }
        parts.withLock { parts in
            guard parts.flushing == nil else { return }
            parts.flushing = Task { [weak self, settlements] in
                while !Task.isCancelled, self?.passFlushes(to: outcome) == false {
                    await settlements.wait()
                }
            }
        }
    }

    /// One look; true where there is nothing left to look for, and nobody looks any more.
    private func passFlushes(to outcome: Outcome) -> Bool {
        let end = flushes.sourcePassed(main.pipeline.hasPassed) { outcome.log.log.tail }
        if let end { _ = outcome.way.pipeline.flush(to: end) }
        return parts.withLock { parts in
            guard !flushes.isWaiting else { return false }
            parts.flushing = nil
            return true
        }
    }
}
