/// What a destination says happened to a buffer.
///
/// It never decides whether to retry.
package enum DeliveryOutcome: Sendable, Hashable {
    /// All of it is where it should be.
    case delivered
    /// It is not there; `cause` says why, for the operator. Delivery decides what comes next.
    case failed(DeliveryFailure)
}

/// Why a delivery failed.
package struct DeliveryFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// A short name out of a fixed set, for metrics: `S3.AccessDenied`, `S3.Unreachable`, ...
    package var code: String
    /// What happened, for the operator.
    package var message: String

    /// A failure.
    package init(code: String, message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { "\(code): \(message)" }
}
