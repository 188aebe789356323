internal import Records

/// What makes a buffer.
package struct BufferBounds: Sendable, Hashable {
    /// Bytes of data at which it is full.
    package var bytes: UInt64
    /// Seconds after which it goes out however little it holds.
    package var intervalSeconds: Int
    /// How many may be on their way at one time.
    package var maximumInFlight: Int
    /// Up to how many bytes buffers may grow while delivery is behind; at least `bytes`.
    package var maximumBytes: UInt64
    /// Whether buffers are journalled; what becomes of others is durable elsewhere.
    package var isJournalled: Bool

    /// Bounds; by default of buffers that are journalled and never grow.
    package init(
        bytes: UInt64,
        intervalSeconds: Int,
        maximumInFlight: Int,
        maximumBytes: UInt64 = 0,
        isJournalled: Bool = true
    ) {
        self.bytes = bytes
        self.intervalSeconds = intervalSeconds
        self.maximumInFlight = maximumInFlight
        self.maximumBytes = maximumBytes
        self.isJournalled = isJournalled
    }

    /// Bytes at which a buffer is full, given how many wait: as long as they make more than a few
    /// buffers, those are twice as large (developer guide, "Data delivery": the buffer size is
    /// raised where delivery falls behind).
    func bytes(waiting: UInt64) -> UInt64 {
        var size = bytes
        while size < maximumBytes, waiting / Limits.backlogBuffers > size {
            size = min(size * 2, maximumBytes)
        }
        return size
    }
}
