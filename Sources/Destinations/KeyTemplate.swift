package import Records

/// A prefix of object keys with its expressions.
///
/// Source: developer guide, "Understand custom prefixes for Amazon S3 objects".
package struct KeyTemplate: Sendable, Hashable {
    /// Which of the two prefixes a template is.
    package enum Role: String, Sendable {
        case prefix = "Prefix"
        case errorOutputPrefix = "ErrorOutputPrefix"
    }

    private enum Piece: Sendable, Hashable {
        case literal(String)
        case timestamp(DatePattern)
        case randomString
        case errorOutputType
    }

    /// What is appended to a prefix without a timestamp of its own, with no slash before it.
    private static let defaultTimestamp = "yyyy/MM/dd/HH/"

    private var pieces: [Piece] = []
    private var hasTimestamp = false
    private var implicitTimestampStart: Int?
    /// True where the text has any expression.
    package private(set) var hasExpressions = false
    /// True where the text has `!{firehose:error-output-type}`.
    package private(set) var hasErrorOutputType = false

    /// Reads a prefix.
    ///
    /// - Throws: InvalidArgumentException that names the member and what is wrong in it.
    package init(_ text: String, as role: Role) throws(FirehoseError) {
        var rest = Substring(text)
        while !rest.isEmpty {
            guard let start = rest.firstRange(of: "!{") else {
                pieces.append(.literal(String(rest)))
                break
            }
            if start.lowerBound > rest.startIndex {
                pieces.append(.literal(String(rest[..<start.lowerBound])))
            }
            rest = rest[start.upperBound...]
            guard let end = rest.firstIndex(of: "}") else {
                throw Self.refused(role, "an expression that begins with !{ has no closing }")
            }
            try add(expression: rest[..<end], role)
            rest = rest[rest.index(after: end)...]
        }
        hasExpressions = pieces.contains { piece in
            if case .literal = piece { return false }
            return true
        }
        if role == .prefix, !hasTimestamp {
            implicitTimestampStart = pieces.count
            pieces.append(try Self.timestamp(Self.defaultTimestamp, role))
        }
    }

    private mutating func add(expression: Substring, _ role: Role) throws(FirehoseError) {
        guard let colon = expression.firstIndex(of: ":") else {
            throw Self.refused(role, "!{\(expression)} is not of the form !{namespace:value}")
        }
        let namespace = expression[..<colon]
        let value = String(expression[expression.index(after: colon)...])
        switch (namespace, value) {
        case ("timestamp", _):
            pieces.append(try Self.timestamp(value, role))
            hasTimestamp = true
        case ("firehose", "random-string"):
            pieces.append(.randomString)
        case ("firehose", "error-output-type") where role == .errorOutputPrefix:
            pieces.append(.errorOutputType)
            hasErrorOutputType = true
        case ("firehose", "error-output-type"):
            throw Self.refused(role, "!{firehose:error-output-type} belongs in ErrorOutputPrefix")
        case ("partitionKeyFromQuery", _), ("partitionKeyFromLambda", _):
            throw Self.refused(
                role,
                "!{\(namespace):...} needs dynamic partitioning, which is not supported"
            )
        default:
            throw Self.refused(role, "!{\(expression)} is not an expression that is known")
        }
    }

    private static func timestamp(_ pattern: String, _ role: Role) throws(FirehoseError) -> Piece {
        do throws(DatePattern.Failure) {
            return .timestamp(try DatePattern(pattern))
        } catch {
            throw refused(role, "!{timestamp:\(pattern)}: \(error.message)")
        }
    }

    private static func refused(_ role: Role, _ reason: String) -> FirehoseError {
        FirehoseError(.invalidArgument, "\(role.rawValue) is not valid: \(reason)")
    }

    /// The prefix for one object.
    ///
    /// - Parameters:
    ///   - arrival: When the oldest record in the object arrived.
    ///   - offsetSeconds: How far its time zone was ahead of UTC then.
    ///   - errorOutputType: What `!{firehose:error-output-type}` stands for.
    ///   - random: Gives a new 11-character string for each `!{firehose:random-string}`.
    /// - Returns: The prefix, expressions replaced.
    package func evaluate(
        arrival: Timestamp,
        offsetSeconds: Int,
        errorOutputType: String = "",
        random: () -> String
    ) -> String {
        evaluate(pieces[...], arrival, offsetSeconds, errorOutputType, random)
    }

    /// Characters of the evaluated prefix that count against AWS's limit: the implicit timestamp
    /// does not.
    package func countedCharacters(at moment: Timestamp, offsetSeconds: Int) -> Int {
        let counted = pieces[..<(implicitTimestampStart ?? pieces.count)]
        return evaluate(counted, moment, offsetSeconds, "processing-failed") {
            String(repeating: "x", count: 11)
        }.utf16.count
    }

    private func evaluate(
        _ pieces: ArraySlice<Piece>,
        _ arrival: Timestamp,
        _ offsetSeconds: Int,
        _ errorOutputType: String,
        _ random: () -> String
    ) -> String {
        pieces.map { piece in
            switch piece {
            case .literal(let text): text
            case .timestamp(let pattern): pattern.format(arrival, offsetSeconds: offsetSeconds)
            case .randomString: random()
            case .errorOutputType: errorOutputType
            }
        }.joined()
    }
}

extension Substring {
    /// Where `text` first stands in it.
    fileprivate func firstRange(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) {
                return start..<index(start, offsetBy: text.count)
            }
            start = index(after: start)
        }
        return nil
    }
}
