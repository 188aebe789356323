package import Records

/// Gathers what a request breaks of the API model's constraints, and says it as AWS does.
///
/// The form is that of a captured answer: "1 validation error detected: Value '...' at
/// 'records.17.member.data' failed to satisfy constraint: Member must have length less than or equal
/// to 1024000".
package struct ConstraintViolations {
    /// A constraint that is not kept.
    package enum Violation {
        case null
        case tooLong(value: String, maximum: Int)
        case tooShort(value: String, minimum: Int)
        case tooGreat(value: String, maximum: String)
        case tooSmall(value: String, minimum: String)
        case pattern(value: String, pattern: String)
        case enumeration(value: String, allowed: [String])
    }

    private var texts: [String] = []
    private var count = 0

    /// No violations yet.
    package init() {}

    /// Notes a violation at a member's path.
    package mutating func add(_ violation: Violation, at path: String) {
        count += 1
        guard texts.count < Limits.maximumReportedViolations else { return }
        let (value, constraint) =
            switch violation {
            case .null: ("null", "Member must not be null")
            case .tooLong(let value, let maximum):
                (Self.quoted(value), "Member must have length less than or equal to \(maximum)")
            case .tooShort(let value, let minimum):
                (Self.quoted(value), "Member must have length greater than or equal to \(minimum)")
            case .tooGreat(let value, let maximum):
                (Self.quoted(value), "Member must have value less than or equal to \(maximum)")
            case .tooSmall(let value, let minimum):
                (Self.quoted(value), "Member must have value greater than or equal to \(minimum)")
            case .pattern(let value, let pattern):
                (Self.quoted(value), "Member must satisfy regular expression pattern: \(pattern)")
            case .enumeration(let value, let allowed):
                (
                    Self.quoted(value),
                    "Member must satisfy enum value set: [\(allowed.joined(separator: ", "))]"
                )
            }
        texts.append("Value \(value) at '\(path)' failed to satisfy constraint: \(constraint)")
    }

    private static func quoted(_ value: some CustomStringConvertible) -> String {
        "'\(value.description.unicodeScalarPrefix(Limits.maximumReportedValueCharacters))'"
    }

    /// Notes what is wrong with a stream's name.
    package mutating func checkStreamName(_ name: String, at path: String) {
        check(name, length: 1...Limits.maximumStreamNameCharacters, at: path)
        if !name.isEmpty, !DeliveryStream.isValidName(String(name.prefix(64))) {
            add(.pattern(value: name, pattern: "[a-zA-Z0-9_.-]+"), at: path)
        }
    }

    /// Notes a text that is too short or too long, in UTF-16 code units as Java counts.
    ///
    /// The message repeats `shown` in place of the text, where it is given.
    package mutating func check(
        _ text: String,
        length: ClosedRange<Int>,
        at path: String,
        shown: String? = nil
    ) {
        if text.utf16.count < length.lowerBound {
            add(.tooShort(value: shown ?? text, minimum: length.lowerBound), at: path)
        } else if text.utf16.count > length.upperBound {
            add(.tooLong(value: shown ?? text, maximum: length.upperBound), at: path)
        }
    }

    /// Notes a number that is out of range.
    package mutating func check<Number: Comparable & CustomStringConvertible>(
        _ number: Number?,
        in range: ClosedRange<Number>,
        at path: String
    ) {
        guard let number else { return }
        let value = number.description
        if number < range.lowerBound {
            add(.tooSmall(value: value, minimum: range.lowerBound.description), at: path)
        } else if number > range.upperBound {
            add(.tooGreat(value: value, maximum: range.upperBound.description), at: path)
        }
    }

    /// Notes a list that has too few items or too many.
    package mutating func check(count: Int, in range: ClosedRange<Int>, at path: String) {
        let value = "[\(count) items]"
        if count < range.lowerBound {
            add(.tooShort(value: value, minimum: range.lowerBound), at: path)
        } else if count > range.upperBound {
            add(.tooLong(value: value, maximum: range.upperBound), at: path)
        }
    }

    /// Throws a ValidationException with all that was noted, if anything was.
    package func check() throws(FirehoseError) {
        guard !texts.isEmpty else { return }
        let errors = count == 1 ? "error" : "errors"
        throw FirehoseError(
            .validation,
            "\(count) validation \(errors) detected: " + texts.joined(separator: "; ")
        )
    }
}
