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

    /// A failure; control characters of a message, which may be a stranger's, become spaces.
    package init(code: String, message: String) {
        self.code = code
        let isClean = message.utf8.allSatisfy { (0x20..<0x7f).contains($0) }
        self.message = isClean ? message : Self.clean(message)
    }

    private static func clean(_ text: String) -> String {
        var scalars = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            let isControl = scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
            let endsLine = scalar.value == 0x2028 || scalar.value == 0x2029
            scalars.append(isControl || endsLine ? " " : scalar)
        }
        return String(scalars)
    }

    package var description: String { "\(code): \(message)" }
}
