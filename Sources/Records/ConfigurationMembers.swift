internal import JSON

/// A structure of a destination's configuration that is read member by member, defaults filled in.
///
/// What is wrong is an InvalidArgument that names the member.
package struct ConfigurationMembers: Sendable {
    /// The structure's place, by AWS's names.
    private let path: String
    private let members: JSONValue

    /// The members of a whole configuration.
    package init(_ configuration: DestinationConfiguration) {
        path = configuration.kind.configurationMember
        members = configuration.withDefaults.members
    }

    private init(_ members: JSONValue, at path: String) {
        self.path = path
        self.members = members
    }

    /// An error that names a member.
    package func failure(_ name: String, _ reason: String) -> FirehoseError {
        FirehoseError(.invalidArgument, "\(path).\(name) \(reason)")
    }

    /// A text; nil where the member is missing.
    package func text(_ name: String) throws(FirehoseError) -> String? {
        guard let value = members[name] else { return nil }
        guard let text = value.string else { throw failure(name, "is not a string") }
        return text
    }

    /// A text that must be there.
    package func required(_ name: String) throws(FirehoseError) -> String {
        guard let text = try text(name) else { throw failure(name, "is missing") }
        return text
    }

    /// One of some values; nil where the member is missing.
    package func choice<Value: RawRepresentable<String>>(
        _ name: String
    ) throws(FirehoseError) -> Value? {
        guard let text = try text(name) else { return nil }
        guard let value = Value(rawValue: text) else { throw failure(name, "\(text) is not known") }
        return value
    }

    /// One of some values, which must be there.
    package func requiredChoice<Value: RawRepresentable<String>>(
        _ name: String
    ) throws(FirehoseError) -> Value {
        guard let value: Value = try choice(name) else { throw failure(name, "is missing") }
        return value
    }

    /// A whole number that must be there.
    package func number(_ name: String) throws(FirehoseError) -> Int {
        guard let value = members[name] else { throw failure(name, "is missing") }
        guard let number = value.integer else { throw failure(name, "is not a whole number") }
        return number
    }

    /// A structure; nil where the member is missing.
    package func structure(_ name: String) throws(FirehoseError) -> ConfigurationMembers? {
        guard let value = members[name] else { return nil }
        guard value.object != nil else { throw failure(name, "is not a structure") }
        return ConfigurationMembers(value, at: "\(path).\(name)")
    }

    /// A structure that must be there.
    package func requiredStructure(_ name: String) throws(FirehoseError) -> ConfigurationMembers {
        guard let structure = try structure(name) else { throw failure(name, "is missing") }
        return structure
    }

    /// A list of structures; none where the member is missing.
    package func structures(_ name: String) throws(FirehoseError) -> [ConfigurationMembers] {
        guard let value = members[name] else { return [] }
        guard let items = value.array, items.allSatisfy({ $0.object != nil }) else {
            throw failure(name, "is not a list of structures")
        }
        return items.enumerated().map { place, item in
            ConfigurationMembers(item, at: "\(path).\(name).\(place + 1)")
        }
    }
}

extension ConfigurationMembers {
    /// `RetryOptions.DurationInSeconds`.
    package var retryDuration: Duration {
        get throws(FirehoseError) {
            .seconds(try requiredStructure("RetryOptions").number("DurationInSeconds"))
        }
    }

    /// `BufferingHints`.
    package var bufferingHints: BufferingHints {
        get throws(FirehoseError) {
            let hints = try requiredStructure("BufferingHints")
            return BufferingHints(
                sizeInMBs: try hints.number("SizeInMBs"),
                intervalInSeconds: try hints.number("IntervalInSeconds")
            )
        }
    }
}
