internal import Glibc

/// A moment of wall-clock time, in milliseconds since 1970-01-01T00:00:00Z.
package struct Timestamp: Sendable, Hashable, Comparable, Codable {
    /// Milliseconds since the epoch.
    package var milliseconds: Int64

    /// A moment so many milliseconds after the epoch.
    package init(milliseconds: Int64) { self.milliseconds = milliseconds }

    /// Reads a bare number of milliseconds.
    package init(from decoder: any Decoder) throws {
        milliseconds = try decoder.singleValueContainer().decode(Int64.self)
    }

    /// Writes a bare number of milliseconds.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(milliseconds)
    }

    /// Whole seconds since the epoch, rounded down.
    package var seconds: Int64 {
        milliseconds >= 0 ? milliseconds / 1000 : (milliseconds - 999) / 1000
    }

    package static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.milliseconds < right.milliseconds
    }

    /// The moment `duration` later.
    package static func + (moment: Timestamp, duration: Duration) -> Timestamp {
        let (seconds, attoseconds) = duration.components
        return Timestamp(
            milliseconds: moment.milliseconds + seconds * 1000
                + attoseconds / 1_000_000_000_000_000
        )
    }

    /// The moment `duration` earlier.
    package static func - (moment: Timestamp, duration: Duration) -> Timestamp {
        moment + (Duration.zero - duration)
    }

    /// The time from `earlier` to `later`.
    package static func - (later: Timestamp, earlier: Timestamp) -> Duration {
        .milliseconds(later.milliseconds - earlier.milliseconds)
    }
}

/// The clocks of the server: what people call the time, what durations are counted by over restarts, and
/// what ends with the process.
package protocol TimeSource: Sendable {
    /// The time now, which somebody may set: when records arrived, what is signed, what people read.
    func now() -> Timestamp
    /// Goes on over restarts, and does not jump when the time is set: for buffers and retries.
    ///
    /// It is the time as long as that is not set, and comparable with nothing but itself.
    func steady() -> Timestamp
    /// Waits until a moment by `steady` has come; throws `CancellationError` when the task is cancelled.
    func sleep(until moment: Timestamp) async throws
    /// Now, by a clock of this process: for time-outs and how long something took.
    func instant() -> ContinuousClock.Instant
    /// Waits by that clock; throws `CancellationError` when the task is cancelled.
    func sleep(for duration: Duration) async throws
}

extension TimeSource {
    /// The time itself, where nothing is kept over restarts.
    package func steady() -> Timestamp { now() }
}

/// The system's clock.
package struct SystemTime: TimeSource {
    /// The system's clock.
    package init() {}

    package func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(
            milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
        )
    }

    package func sleep(until moment: Timestamp) async throws {
        // In steps, so that a clock that is set forward while we sleep is noticed; one that is set back
        // makes no sleep longer.
        let end = ContinuousClock.now + (moment - now())
        while true {
            let rest = min(moment - now(), end - ContinuousClock.now)
            if rest <= .zero { return }
            try await Task.sleep(for: min(rest, .seconds(30)))
        }
    }

    package func instant() -> ContinuousClock.Instant { .now }

    package func sleep(for duration: Duration) async throws { try await Task.sleep(for: duration) }
}
