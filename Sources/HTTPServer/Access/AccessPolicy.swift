internal import Records

/// What a key may do.
struct AccessPolicy: Sendable {
    /// The streams on which each action is allowed.
    private var streams: [String: [Glob]] = [:]

    /// Allows those of all known actions that match patterns on streams.
    mutating func allow(_ patterns: [ActionPattern], of actions: [String], streams globs: [String])
    {
        for action in actions where patterns.contains(where: { $0.matches(action) }) {
            streams[action, default: []] += globs.map(Glob.init)
        }
    }

    /// Whether an action is allowed on a stream; one on no stream is one on all, as on AWS.
    func allows(_ action: String, on stream: String?) -> Bool {
        guard let globs = streams[action] else { return false }
        guard let stream else { return globs.contains { $0.pattern == "*" } }
        return globs.contains { $0.matches(stream) }
    }
}

/// Actions in a policy: a pattern such as `firehose:PutRecord*`, in any case.
struct ActionPattern: Sendable {
    let text: String
    private let glob: Glob

    init(_ text: String) {
        self.text = text
        glob = Glob(text.lowercased())
    }

    func matches(_ action: String) -> Bool { glob.matches(action.lowercased()) }
}
