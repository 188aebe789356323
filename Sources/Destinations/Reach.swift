internal import Egress

/// What was found where records are to go, without anything being written there.
package enum Reach: Sendable {
    /// It answers, and knows us as far as it can be asked.
    case reached(String)
    /// It answers; whether it would take records is not known.
    case doubtful(String)
    /// It would take nothing.
    case failed(String)

    /// How long an answer is waited for.
    static let timeout: Duration = .seconds(10)

    init(_ failure: EgressError) { self = .failed("\(failure.kind.rawValue): \(failure.message)") }
}
