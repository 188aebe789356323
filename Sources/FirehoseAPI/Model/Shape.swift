internal import JSON
internal import Records

/// A shape of the API model: what JSON is taken for it, and within which bounds.
///
/// Source: `firehose/2015-08-04/service-2.json`, which botocore carries; `Tests/EndToEnd` holds these
/// shapes against it, member by member.
indirect enum Shape: Sendable {
    case text(Text)
    case integer(minimum: Int?, maximum: Int?)
    case number(ClosedRange<Double>)
    case boolean
    case list(Shape, count: ClosedRange<Int>)
    case map(key: Shape, value: Shape)
    case structure([Member])
    /// A structure that this server refuses by its name: nobody looks into it.
    case refused

    /// A string's bounds.
    struct Text: Sendable {
        /// In UTF-16 code units, as Java counts.
        var length: ClosedRange<Int>?
        /// What the whole of it must match, as the model has it.
        var pattern: String?
        /// What it must match where the model would keep servers other than AWS's out.
        var relaxedPattern: String?
        /// All its values.
        var values: [String]?
        /// Never repeated in a message.
        var isSecret = false
    }

    /// A member of a structure.
    struct Member: Sendable {
        var name: String
        var shape: Shape
        var isRequired: Bool

        static func required(_ name: String, _ shape: Shape) -> Member {
            Member(name: name, shape: shape, isRequired: true)
        }

        static func optional(_ name: String, _ shape: Shape) -> Member {
            Member(name: name, shape: shape, isRequired: false)
        }
    }

    static func structure(_ members: Member...) -> Shape { .structure(members) }

    static func text(
        _ length: ClosedRange<Int>? = nil,
        _ pattern: String? = nil,
        relaxed: String? = nil
    )
        -> Shape
    {
        .text(Text(length: length, pattern: pattern, relaxedPattern: relaxed, values: nil))
    }

    static func secret(_ length: ClosedRange<Int>, _ pattern: String? = nil) -> Shape {
        var text = Text(length: length, pattern: pattern, relaxedPattern: nil, values: nil)
        text.isSecret = true
        return .text(text)
    }

    static func values(_ values: String...) -> Shape {
        .text(Text(length: nil, pattern: nil, relaxedPattern: nil, values: values))
    }

    static func integer(_ range: ClosedRange<Int>) -> Shape {
        .integer(minimum: range.lowerBound, maximum: range.upperBound)
    }

    static func atLeast(_ minimum: Int) -> Shape { .integer(minimum: minimum, maximum: nil) }

    /// The members of a structure; none of anything else.
    var members: [Member] { if case .structure(let members) = self { members } else { [] } }

    /// A configuration's shape as the update of that configuration has it: nothing is required, and
    /// some members have other names or are not there.
    func asUpdate(without left: Set<String> = []) -> Shape {
        .structure(
            members.filter { !left.contains($0.name) }.map { member in
                switch member.name {
                case "S3Configuration": .optional("S3Update", .s3DestinationUpdate)
                case "S3BackupConfiguration": .optional("S3BackupUpdate", .s3DestinationUpdate)
                default: .optional(member.name, member.shape)
                }
            }
        )
    }
}
