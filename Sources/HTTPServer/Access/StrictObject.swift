internal import JSON

/// An object of a file with settings: each of its members must be known, and null stands for none.
///
/// Values are not repeated in messages: they may be secrets.
struct StrictObject {
    /// What is wrong with a value, for the operator.
    struct Mistake: Error {
        var message: String

        init(_ message: String) { self.message = message }
    }

    /// Bounds of a text.
    struct TextRule: Sendable {
        /// In UTF-16 code units.
        var length: ClosedRange<Int>
        /// Whether a byte is allowed; nil for any text.
        var allows: (@Sendable (UInt8) -> Bool)?
        /// What is allowed, for the message.
        var allowed = ""
    }

    private let path: String
    private let members: [String: JSONValue]

    /// Holds an object against the names that it may have.
    init(_ value: JSONValue, at path: String = "", members known: [String]) throws(Mistake) {
        guard let members = value.object else {
            throw Mistake("\(path.isEmpty ? "the content" : path) must be an object")
        }
        if let name = members.keys.filter({ !known.contains($0) }).min() {
            throw Mistake("there is no member \(name)\(path.isEmpty ? "" : " in \(path)")")
        }
        self.path = path
        self.members = members.filter { $0.value != .null }
    }

    /// The items of an array that must be there, with where each stands.
    func items(
        _ name: String,
        count: ClosedRange<Int>
    ) throws(Mistake) -> [(value: JSONValue, path: String)] {
        let place = place(of: name)
        guard let value = members[name] else { throw Mistake("\(place) is missing") }
        guard let items = value.array else { throw Mistake("\(place) must be an array") }
        guard count.contains(items.count) else {
            throw Mistake(
                "\(place) has \(items.count) items; it must have \(count.lowerBound) to "
                    + "\(count.upperBound)"
            )
        }
        return items.enumerated().map { ($1, "\(place)[\($0)]") }
    }

    /// The texts of an array that must be there.
    func texts(
        _ name: String,
        count: ClosedRange<Int>,
        _ rule: TextRule
    ) throws(Mistake) -> [String] {
        try items(name, count: count).map { item throws(Mistake) in
            try Self.text(item.value, at: item.path, rule)
        }
    }

    /// A text that must be there.
    func text(_ name: String, _ rule: TextRule) throws(Mistake) -> String {
        guard let text = try optionalText(name, rule) else {
            throw Mistake("\(place(of: name)) is missing")
        }
        return text
    }

    /// A text that may be missing.
    func optionalText(_ name: String, _ rule: TextRule) throws(Mistake) -> String? {
        try members[name].map { value throws(Mistake) in
            try Self.text(value, at: place(of: name), rule)
        }
    }

    private func place(of name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    private static func text(
        _ value: JSONValue,
        at place: String,
        _ rule: TextRule
    ) throws(Mistake) -> String {
        guard let text = value.string else { throw Mistake("\(place) must be a string") }
        let length = rule.length
        guard length.contains(text.utf16.count) else {
            throw Mistake(
                "\(place) must have \(length.lowerBound) to \(length.upperBound) characters"
            )
        }
        if let allows = rule.allows, !text.utf8.allSatisfy(allows) {
            throw Mistake("\(place) must consist of \(rule.allowed)")
        }
        return text
    }
}
