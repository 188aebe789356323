/// An error in AWS's words, as an SDK sees it.
package struct FirehoseError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The errors that this server answers: the modelled exceptions and those that the AWS front end
    /// returns unmodelled.
    package enum Code: String, Sendable {
        case concurrentModification = "ConcurrentModificationException"
        case invalidArgument = "InvalidArgumentException"
        case invalidKMSResource = "InvalidKMSResourceException"
        case limitExceeded = "LimitExceededException"
        case resourceInUse = "ResourceInUseException"
        case resourceNotFound = "ResourceNotFoundException"
        case serviceUnavailable = "ServiceUnavailableException"
        case validation = "ValidationException"
        case serialization = "SerializationException"
        case unknownOperation = "UnknownOperationException"
        case requestEntityTooLarge = "RequestEntityTooLargeException"
        case internalFailure = "InternalFailure"
        case accessDenied = "AccessDeniedException"
    }

    /// Which error.
    package var code: Code
    /// What it says to the caller.
    package var message: String
    /// The `code` member that InvalidKMSResourceException has beside its message (API model).
    package var detailCode: String?

    /// An error.
    package init(_ code: Code, _ message: String, detailCode: String? = nil) {
        self.code = code
        self.message = message
        self.detailCode = detailCode
    }

    /// What AWS answers at every bound on throughput and backlog.
    package static let slowDown = FirehoseError(.serviceUnavailable, "Slow down.")

    /// The answer to a name that no stream has.
    package static func notFound(_ name: String, account: String) -> FirehoseError {
        FirehoseError(.resourceNotFound, "Firehose \(name) under account \(account) not found.")
    }

    /// The HTTP status that goes with it: the model marks ServiceUnavailable alone as a fault.
    package var status: Int {
        switch code {
        case .serviceUnavailable: 503
        case .internalFailure: 500
        case .requestEntityTooLarge: 413
        default: 400
        }
    }

    package var description: String { "\(code.rawValue): \(message)" }
}
