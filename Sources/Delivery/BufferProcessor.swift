package import Records

/// A part of a log that is to become a buffer.
package struct BufferCut: Sendable, Hashable {
    /// The buffer's number in its stream.
    package var sequence: UInt64
    /// Its first record.
    package var start: LogMark
    /// Where it ends at the latest.
    package var limit: LogMark
    /// Bytes of data that it holds at the most, if it holds more than one record.
    package var bytes: UInt64
    /// When its oldest record arrived.
    package var arrival: Timestamp
    /// A time that no later buffer of this run falls short of, also where the clock is set back: what names
    /// sort by.
    package var order: Timestamp
    /// Whether the checkpoint has to be at `start` before the buffer is journalled, as after a crash its
    /// entry must join it.
    package var joinsCheckpoint: Bool

    /// A part.
    package init(
        sequence: UInt64,
        start: LogMark,
        limit: LogMark,
        bytes: UInt64,
        arrival: Timestamp,
        order: Timestamp? = nil,
        joinsCheckpoint: Bool = false
    ) {
        self.order = order ?? arrival
        self.sequence = sequence
        self.start = start
        self.limit = limit
        self.bytes = bytes
        self.arrival = arrival
        self.joinsCheckpoint = joinsCheckpoint
    }
}

/// What becomes of a log's records, as the stream is configured now: objects, requests, a transform, or
/// nothing.
package protocol BufferProcessor: Sendable {
    /// What makes a buffer.
    var bounds: BufferBounds { get }

    /// Whether a buffer may be cut now; where not, the pipeline asks again when it is woken.
    var isReady: Bool { get }

    /// Whether nothing becomes of records: they stay in the log.
    var isParked: Bool { get }

    /// Decides once what a buffer holds and what becomes of it.
    ///
    /// Where another attempt must find the same decision after a crash, it is durable on return, and
    /// nothing has left the server before.
    ///
    /// - Returns: Nil where the configuration has changed meanwhile, and nothing was decided.
    func plan(_ cut: BufferCut, _ context: PipelineContext) async throws -> (any BufferWork)?
}

extension BufferProcessor {
    /// By default always.
    package var isReady: Bool { true }
    /// By default not.
    package var isParked: Bool { false }
}

/// A buffer, and what becomes of it.
package protocol BufferWork: Sendable {
    /// Its number in its stream.
    var sequence: UInt64 { get }
    /// Its first record.
    var start: LogMark { get }
    /// Behind its last.
    var end: LogMark { get }

    /// Brings the buffer to its end: on return each record is where it belongs, or set aside.
    ///
    /// - Throws: `CancellationError` alone; after a restart the work goes on.
    func process() async throws

    /// An earlier buffer keeps the checkpoint from moving over this one, which is settled: makes durable
    /// that it is.
    func heldUp() async throws

    /// How soon the checkpoint must follow.
    var checkpointing: Checkpointing { get }
}

extension BufferWork {
    /// By default at once, as the journal waits for it.
    package var checkpointing: Checkpointing { .atOnce }
}

/// How soon a checkpoint follows what is settled.
package enum Checkpointing: Sendable {
    /// With each settlement.
    case atOnce
    /// After some bytes or some time, which saves syncs: something else says durably what is settled, and
    /// is told how far the checkpoint is. The call blocks.
    case lazily(moved: @Sendable (LogMark) throws -> Void)
}

/// Keeps records in the log.
package struct ParkProcessor: BufferProcessor {
    /// Whatever the stream is.
    package init() {}

    package var bounds: BufferBounds {
        BufferBounds(bytes: .max, intervalSeconds: .max, maximumInFlight: 0)
    }

    package var isParked: Bool { true }
    package var isReady: Bool { false }

    package func plan(
        _ cut: BufferCut,
        _ context: PipelineContext
    ) async throws
        -> (any BufferWork)?
    { nil }
}
