internal import Records

/// What a key may do.
struct AccessPolicy: Sendable {
    /// The streams on which each operation is allowed.
    private var streams: [Operation: [Glob]] = [:]

    /// Allows actions, as `firehose:PutRecord*` names them in any case, on streams.
    mutating func allow(actions: [String], streams globs: [String]) {
        let actions = actions.map { Glob($0.lowercased()) }
        for operation in Operation.allCases {
            let action = operation.action.lowercased()
            guard actions.contains(where: { $0.matches(action) }) else { continue }
            streams[operation, default: []] += globs.map(Glob.init)
        }
    }

    /// Whether an operation is allowed on a stream; one on no stream is one on all, as on AWS.
    func allows(_ operation: Operation, on stream: String?) -> Bool {
        guard let globs = streams[operation] else { return false }
        guard let stream else { return globs.contains { $0.pattern == "*" } }
        return globs.contains { $0.matches(stream) }
    }
}
