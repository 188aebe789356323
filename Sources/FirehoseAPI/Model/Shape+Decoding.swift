internal import JSON
internal import Records

extension Shape {
    /// What is done with members that the model does not have.
    enum UnknownMembers {
        /// As AWS does with requests.
        case ignored
        case refused
    }

    /// The value with nulls and unknown members taken out.
    ///
    /// - Parameters:
    ///   - value: What came.
    ///   - path: Where it stands in the request.
    ///   - unknown: What is done with unknown members.
    /// - Returns: What is known of it.
    /// - Throws: SerializationException where the JSON is of another type.
    func decode(
        _ value: JSONValue,
        at path: String = "",
        unknown: UnknownMembers = .ignored
    ) throws(FirehoseError) -> JSONValue {
        switch (self, value) {
        case (.text, .string), (.integer, .integer), (.number, .integer), (.number, .number),
            (.boolean, .boolean), (.refused, .object):
            return value
        case (.list(let item, _), .array(let items)):
            var decoded: [JSONValue] = []
            for (index, value) in items.enumerated() {
                decoded.append(
                    try item.decode(value, at: "\(path).\(index + 1).member", unknown: unknown)
                )
            }
            return .array(decoded)
        case (.map(_, let shape), .object(let entries)):
            var decoded: [String: JSONValue] = [:]
            for (key, value) in entries {
                decoded[key] = try shape.decode(value, at: "\(path).\(key)", unknown: unknown)
            }
            return .object(decoded)
        case (.structure(let members), .object(let values)):
            return try Self.decode(values, members, at: path, unknown)
        default:
            let place = path.isEmpty ? "The request" : "'\(path)'"
            throw FirehoseError(
                .serialization,
                "\(place): \(value.kind) cannot be converted to \(kind)"
            )
        }
    }

    private static func decode(
        _ values: [String: JSONValue],
        _ members: [Member],
        at path: String,
        _ unknown: UnknownMembers
    ) throws(FirehoseError) -> JSONValue {
        var decoded: [String: JSONValue] = [:]
        for member in members {
            guard let value = values[member.name], value != .null else { continue }
            decoded[member.name] = try member.shape.decode(
                value,
                at: member.path(in: path),
                unknown: unknown
            )
        }
        if unknown == .refused {
            let known = Set(members.map(\.name))
            if let name = values.keys.filter({ !known.contains($0) }).min() {
                let place = path.isEmpty ? "" : " in '\(path)'"
                throw FirehoseError(.validation, "there is no member \(name)\(place)")
            }
        }
        return .object(decoded)
    }

    private var kind: String {
        switch self {
        case .text: "String"
        case .integer: "Integer"
        case .number: "Double"
        case .boolean: "Boolean"
        case .list: "List"
        case .map: "Map"
        case .structure, .refused: "Structure"
        }
    }
}

extension Shape.Member {
    /// Where the member stands: AWS writes names in validation errors with a small first letter.
    func path(in path: String) -> String {
        let own = name.prefix(1).lowercased() + name.dropFirst()
        return path.isEmpty ? own : "\(path).\(own)"
    }
}

extension JSONValue {
    fileprivate var kind: String {
        switch self {
        case .null: "NULL_VALUE"
        case .boolean(true): "TRUE_VALUE"
        case .boolean(false): "FALSE_VALUE"
        case .integer: "NUMBER_VALUE"
        case .number: "DECIMAL_VALUE"
        case .string: "STRING_VALUE"
        case .array: "START_ARRAY"
        case .object: "START_OBJECT"
        }
    }
}
