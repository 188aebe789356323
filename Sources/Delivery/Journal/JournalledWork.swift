internal import Records

/// A buffer that is in the journal.
protocol JournalledWork: BufferWork {
    var entry: JournalEntry { get }
    var context: PipelineContext { get }
}

extension JournalledWork {
    var sequence: UInt64 { entry.sequence }
    var start: LogMark { entry.start }
    var end: LogMark { entry.end }

    func heldUp() async throws { try await context.note(.settled, of: entry.sequence) }
}

extension JournalEntry {
    /// What there is to do for the buffer, whether it was sealed now or, `isResumed`, before a restart.
    func work(_ context: PipelineContext, isResumed: Bool = false) -> any BufferWork {
        if isSettled == true { return SettledBuffer(entry: self, context: context) }
        if let records {
            return RecordBuffer(entry: self, plan: records, isResumed: isResumed, context: context)
        }
        if let copy { return WarehouseBuffer(entry: self, plan: copy, context: context) }
        return ObjectBuffer(entry: self, context: context)
    }
}

/// A buffer with nothing left to do but to move the checkpoint.
private struct SettledBuffer: JournalledWork {
    let entry: JournalEntry
    let context: PipelineContext

    func process() async throws {}
    func heldUp() async throws {}
}
