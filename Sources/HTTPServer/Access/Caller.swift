/// Who sent a request, and what they may do.
package struct Caller: Sendable {
    /// The id of the key that the request is signed with; empty where nobody is asked for one.
    package let accessKeyID: String
    /// Nil where everything is allowed.
    private let policy: AccessPolicy?

    /// Whoever it is, where everybody may do everything.
    package static let anyone = Caller()

    private init() {
        accessKeyID = ""
        policy = nil
    }

    init(accessKeyID: String, policy: AccessPolicy) {
        self.accessKeyID = accessKeyID
        self.policy = policy
    }

    /// Whether the caller may do something to a stream.
    ///
    /// - Parameters:
    ///   - action: One of the service's actions.
    ///   - resource: The stream's name, which the policies' patterns are for; nil for all streams.
    /// - Returns: Whether a policy of the caller's key allows it.
    package func allows(_ action: String, on resource: String?) -> Bool {
        policy?.allows(action, on: resource) ?? true
    }
}
