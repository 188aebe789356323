internal import Foundation
internal import JSON
internal import Records
internal import Synchronization

extension Shape {
    /// Notes what in a decoded value breaks the model's constraints.
    ///
    /// - Parameters:
    ///   - value: What `decode` gave.
    ///   - path: Where it stands in the request.
    ///   - isStrict: With the model's own patterns in place of the relaxed ones.
    ///   - problems: Where it is noted.
    func check(
        _ value: JSONValue,
        at path: String = "",
        isStrict: Bool,
        _ problems: inout ConstraintViolations
    ) {
        switch (self, value) {
        case (.text(let bounds), .string(let text)):
            bounds.check(text, at: path, isStrict: isStrict, &problems)
        case (.integer(let minimum, let maximum), .integer(let number)):
            problems.check(number, in: (minimum ?? .min)...(maximum ?? .max), at: path)
        case (.number(let range), .integer(let number)):
            problems.check(Double(number), in: range, at: path)
        case (.number(let range), .number(let number)):
            problems.check(number, in: range, at: path)
        case (.list(let item, let count), .array(let items)):
            problems.check(count: items.count, in: count, at: path)
            for (index, value) in items.enumerated() {
                let place = "\(path).\(index + 1).member"
                item.check(value, at: place, isStrict: isStrict, &problems)
            }
        case (.map(let key, let shape), .object(let entries)):
            for (name, value) in entries.sorted(by: { $0.key < $1.key }) {
                key.check(.string(name), at: "\(path).key", isStrict: isStrict, &problems)
                shape.check(value, at: "\(path).\(name)", isStrict: isStrict, &problems)
            }
        case (.structure(let members), .object(let values)):
            for member in members {
                let place = member.path(in: path)
                if let value = values[member.name] {
                    member.shape.check(value, at: place, isStrict: isStrict, &problems)
                } else if member.isRequired {
                    problems.add(.null, at: place)
                }
            }
        default:
            break  // `decode` lets nothing else through
        }
    }
}

extension Shape.Text {
    fileprivate func check(
        _ text: String,
        at path: String,
        isStrict: Bool,
        _ problems: inout ConstraintViolations
    ) {
        if let values {
            if !values.contains(where: { $0.utf8.elementsEqual(text.utf8) }) {
                problems.add(.enumeration(value: text, allowed: values), at: path)
            }
            return
        }
        let shown = isSecret ? "***" : text
        if let length { problems.check(text, length: length, at: path, shown: shown) }
        guard let pattern else { return }
        let needed = isStrict ? pattern : relaxedPattern ?? pattern
        // What is far too long was noted, and is not worth the matching.
        let isLong = text.utf16.count > 2 * (length?.upperBound ?? .max / 2)
        if !isLong, !Pattern.matches(text, needed) {
            problems.add(.pattern(value: shown, pattern: needed), at: path)
        }
    }
}

/// The model's regular expressions, which are Java's; ICU's are the nearest.
private enum Pattern {
    private static let compiled = Mutex<[String: NSRegularExpression]>([:])

    /// Whether a pattern matches the whole text.
    static func matches(_ text: String, _ pattern: String) -> Bool {
        compiled.withLock { compiled in
            let expression = compiled[pattern] ?? compile(pattern)
            compiled[pattern] = expression
            let all = NSRange(location: 0, length: text.utf16.count)
            return expression.firstMatch(in: text, range: all) != nil
        }
    }

    private static func compile(_ pattern: String) -> NSRegularExpression {
        // In Java, these two classes are ASCII's; the model has the first in brackets alone.
        let ascii =
            pattern
            .replacingOccurrences(of: #"\w"#, with: "a-zA-Z_0-9")
            .replacingOccurrences(of: #"\d"#, with: "[0-9]")
        do {
            return try NSRegularExpression(pattern: #"\A(?:"# + ascii + #")\z"#)
        } catch {
            preconditionFailure("the pattern \(pattern) is not one: \(error)")
        }
    }
}
