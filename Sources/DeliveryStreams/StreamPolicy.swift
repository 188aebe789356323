internal import Records

/// What a server asks of its streams, and allows them.
package struct StreamPolicy: Sendable {
    /// The lowest IntervalInSeconds that a stream may have (seconds).
    package var minimumBufferIntervalSeconds: Int
    /// Whether streams are taken whose destination or features this program cannot deliver: their
    /// records stay in the log.
    package var acceptsUndeliverable: Bool
    /// How much streams take a second.
    package var limits: ThroughputLimits
    /// Why the server can take no further stream; nil where it can.
    package var shortage: @Sendable () -> String? = { nil }

    /// A policy; by default this product's own floor, and no limits.
    package init(
        minimumBufferIntervalSeconds: Int = Limits.defaultMinimumBufferIntervalSeconds,
        acceptsUndeliverable: Bool = false,
        limits: ThroughputLimits = ThroughputLimits()
    ) {
        self.minimumBufferIntervalSeconds = minimumBufferIntervalSeconds
        self.acceptsUndeliverable = acceptsUndeliverable
        self.limits = limits
    }
}
