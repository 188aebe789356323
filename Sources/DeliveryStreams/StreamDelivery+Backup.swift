internal import Delivery
internal import Platform
internal import Records
internal import Synchronization
internal import Transforms

/// The pipeline that stores records as they were put.
extension StreamDelivery {
    static func backup(
        _ stream: DeliveryStream,
        _ log: any RecordLog,
        _ journal: Journal,
        _ environment: StreamEnvironment
    ) throws -> StreamPipeline {
        try StreamPipeline(
            .backup,
            of: stream.name,
            settings: try .of(.backup, stream, nil),
            log: log,
            journal: journal.journal,
            environment: environment.delivery
        )
    }

    /// A backup cannot be added yet, since one before it has not ended.
    struct BackupIsEnding: Error {
        /// Ends with it.
        var end: Task<Void, Never>
    }

    func addBackup(_ stream: DeliveryStream) throws {
        if let end = parts.withLock(\.endingBackup) { throw BackupIsEnding(end: end) }
        // What is not delivered or transformed yet is backed up.
        let checkpoint = log.checkpoint(of: PipelineRole.source.reader)
        let transformed = parts.withLock { $0.outcome }?.log.lastBatchEnd ?? checkpoint
        // What is left of a backup that ended is not that of this one.
        try Folder.remove(folder + "/" + PipelineRole.backup.journal)
        try log.addReader(
            PipelineRole.backup.reader,
            at: transformed.position > checkpoint.position ? transformed : checkpoint
        )
        let journal = try Self.journal(.backup, folder, environment)
        let backup = Way(try Self.backup(stream, log, journal, environment))
        parts.withLock { $0.backup = backup }
    }

    /// Ends a backup that is no longer asked for: what it has not stored yet, it does not store.
    ///
    /// Its reader goes when the pipeline has ended, which nobody but the next backup waits for.
    func end(_ backup: Way) {
        backup.task.cancel()
        parts.withLock { parts in
            parts.endingBackup = Task { [self] in
                await backup.task.value
                do {
                    try await environment.delivery.diskThreads.run { [log] _ in
                        log.removeReader(PipelineRole.backup.reader)
                    }
                } catch {
                    // The server stops: the next start opens the log without that reader.
                }
                self.parts.withLock { $0.endingBackup = nil }
            }
        }
    }
}
