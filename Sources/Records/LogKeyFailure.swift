/// Why the keys of a log's encrypted records cannot be had.
package struct LogKeyFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// What is wrong.
    package enum Code: Sendable {
        /// There are no master keys at all.
        case noMasterKey
        /// A data key is wrapped by a master key that is not known here.
        case unknownMasterKey
        /// A data key is not there.
        case missing
        /// A data key is not what was wrapped, or not for this log.
        case damaged
        /// The keys cannot be read.
        case unreadable
    }

    /// What is wrong.
    package var code: Code
    /// The same for the operator, with what to do about it.
    package var message: String

    /// A failure.
    package init(code: Code, message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}

extension FirehoseError {
    /// What AWS answers where a stream's key cannot be used (API model,
    /// InvalidKMSResourceException).
    package init(_ failure: LogKeyFailure) {
        let code =
            switch failure.code {
            case .noMasterKey, .unknownMasterKey: "KMSNotFoundException"
            case .missing, .damaged, .unreadable: "KMSInvalidStateException"
            }
        self.init(.invalidKMSResource, failure.message, detailCode: code)
    }
}
