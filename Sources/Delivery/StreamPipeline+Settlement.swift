internal import Logging
internal import Platform
internal import Records
internal import Synchronization

/// The end of a buffer.
extension StreamPipeline {
    /// Cuts what is before a mark without waiting for more, and gives how many records of it are not
    /// settled.
    func flush(to mark: LogMark) -> UInt64 {
        let pending = pendingRecords(before: mark)
        guard pending > 0 else { return 0 }
        machine.withLock { $0.flush(to: mark) }
        signal.notify()
        return pending
    }

    /// Records before a mark that are not settled; 1 where nobody counted them.
    func pendingRecords(before mark: LogMark) -> UInt64 {
        let passed = log.checkpoint(of: role.reader)
        guard passed.position < mark.position else { return 0 }
        return max(1, records(from: passed, to: mark))
    }

    /// Records between two marks, without the log's own notes.
    func records(from start: LogMark, to end: LogMark) -> UInt64 {
        guard end.records > start.records else { return 0 }
        let all = end.records - start.records
        return all - min(all, notes(start.records..<end.records))
    }

    /// Whether all before a mark is settled.
    func hasPassed(_ mark: LogMark) -> Bool {
        log.checkpoint(of: role.reader).position >= mark.position
    }

    /// Settles a delivered buffer.
    ///
    /// One that an earlier buffer holds up is marked, so that a restart does not begin it anew.
    func settle(_ entry: JournalEntry) async throws {
        if machine.withLock({ !$0.isFirst(entry.sequence) }) {
            var settled = entry
            settled.isSettled = true
            try await write(settled)
        }
        try await settle(entry.sequence, nil)
        signal.notify()
    }

    /// Moves the checkpoint as far as buffers are settled in order, then forgets those.
    ///
    /// What was transformed is not begun again whether or not the checkpoint says so, since the outcome
    /// log does: so it moves only now and then, which saves syncs.
    func settle(_ sequence: UInt64, _ outcome: OutcomeLog?) async throws {
        guard let progress = machine.withLock({ $0.settled(sequence) }) else { return }
        if outcome != nil {
            signal.notify()
            let moved = log.checkpoint(of: role.reader).bytes
            if progress.checkpoint.bytes < moved + Limits.transformCheckpointBytes {
                // One waits for all that come meanwhile.
                guard !isCheckpointDue.exchange(true, ordering: .relaxed) else { return }
                await pause(Self.checkpointPause)
                isCheckpointDue.store(false, ordering: .relaxed)
            }
        }
        try await move(outcome, progress)
        onSettlement()
    }

    private static let checkpointPause: Duration = .seconds(1)

    private func move(
        _ outcome: OutcomeLog?,
        _ progress: BufferStateMachine.Progress
    ) async throws {
        try await untilDone("the checkpoint cannot be moved") { [self] in
            try await shared.diskThreads.run { [self] _ in
                try checkpointLock.withLock { _ in
                    let current = log.checkpoint(of: role.reader)
                    // Of what was transformed meanwhile as well.
                    let mark = outcome?.lastBatchEnd ?? progress.checkpoint
                    // A later buffer's settlement may have been quicker, and stands for this one.
                    if current.position < mark.position {
                        try log.moveCheckpoint(of: role.reader, to: mark)
                    }
                    try outcome?.sourceMoved(to: log.checkpoint(of: role.reader))
                }
                for sequence in progress.finished { try journal.remove(sequence) }
            }
        }
    }

    func report(_ damaged: [LogDamage]) async throws {
        for damage in damaged {
            let path = try await trying("a damaged range cannot be set aside") { [self] in
                try await shared.diskThreads.run { [setAside, role] _ in
                    try setAside.keep(damage, of: role.rawValue)
                }
            }
            logger.error(
                "acknowledged records are lost to damage in the log; what is left is set aside",
                metadata: [
                    "path": "\(path)", "location": "\(damage.location)",
                    "reason": "\(damage.reason)", "bytes": "\(damage.end - damage.start)",
                ]
            )
        }
    }
}
