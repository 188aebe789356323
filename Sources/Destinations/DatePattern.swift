package import Records

/// A pattern of Java's `DateTimeFormatter`, as `!{timestamp:...}` takes it, in the English locale.
///
/// Source: the class's documentation in Java 8. Letters that need a locale's calendar or that name
/// zones are refused.
package struct DatePattern: Sendable, Hashable {
    private enum Piece: Sendable, Hashable {
        case literal(String)
        case field(Character, Int)
    }

    /// Why a pattern is refused.
    package struct Failure: Error, Hashable {
        /// What is wrong, for the pattern's author.
        package var message: String
    }

    private static let longest: [Character: Int] = [
        "y": 9, "u": 9, "M": 5, "L": 5, "d": 2, "D": 3, "H": 2, "k": 2, "h": 2, "K": 2, "m": 2,
        "s": 2, "S": 9, "a": 1, "E": 5, "X": 3, "x": 3, "Z": 3,
    ]
    private static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September",
        "October", "November", "December",
    ]
    private static let days = [
        "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
    ]

    private var pieces: [Piece] = []

    /// Reads a pattern.
    package init(_ pattern: String) throws(Failure) {
        var rest = Substring(pattern)
        while let first = rest.first {
            if first == "'" {
                rest.removeFirst()
                try readQuoted(&rest)
            } else if first.isASCII, first.isLetter {
                let run = rest.prefix { $0 == first }
                rest.removeFirst(run.count)
                guard let most = Self.longest[first] else {
                    throw Failure(message: "pattern letter '\(first)' is not supported")
                }
                guard run.count <= most else {
                    throw Failure(message: "too many pattern letters: \(run)")
                }
                pieces.append(.field(first, run.count))
            } else if "[]{}#".contains(first) {
                throw Failure(message: "pattern includes the reserved character '\(first)'")
            } else {
                pieces.append(.literal(String(first)))
                rest.removeFirst()
            }
        }
    }

    /// Behind an opening quote: text up to the closing one; two quotes stand for one.
    private mutating func readQuoted(_ rest: inout Substring) throws(Failure) {
        if rest.first == "'" {
            rest.removeFirst()
            return pieces.append(.literal("'"))
        }
        var text = ""
        while let next = rest.popFirst() {
            if next != "'" {
                text.append(next)
            } else if rest.first == "'" {
                rest.removeFirst()
                text.append("'")
            } else {
                return pieces.append(.literal(text))
            }
        }
        throw Failure(message: "pattern ends with an incomplete string literal")
    }

    /// The moment, as clocks show it that are `offsetSeconds` ahead of UTC.
    package func format(_ moment: Timestamp, offsetSeconds: Int) -> String {
        let time = CivilTime(moment, offsetSeconds: offsetSeconds)
        return pieces.map { piece in
            switch piece {
            case .literal(let text): text
            case .field(let letter, let count): Self.text(letter, count, time, offsetSeconds)
            }
        }.joined()
    }

    private static func text(
        _ letter: Character,
        _ count: Int,
        _ time: CivilTime,
        _ offset: Int
    ) -> String {
        switch letter {
        case "y", "u": CivilTime.padded(count == 2 ? time.year % 100 : time.year, count)
        case "M", "L":
            switch count {
            case 1, 2: CivilTime.padded(time.month, count)
            case 3: String(months[time.month - 1].prefix(3))
            case 4: months[time.month - 1]
            default: String(months[time.month - 1].prefix(1))
            }
        case "E":
            switch count {
            case ...3: String(days[time.weekday - 1].prefix(3))
            case 4: days[time.weekday - 1]
            default: String(days[time.weekday - 1].prefix(1))
            }
        case "d": CivilTime.padded(time.day, count)
        case "D": CivilTime.padded(time.dayOfYear, count)
        case "H": CivilTime.padded(time.hour, count)
        case "k": CivilTime.padded(time.hour == 0 ? 24 : time.hour, count)
        case "K": CivilTime.padded(time.hour % 12, count)
        case "h": CivilTime.padded(time.hour % 12 == 0 ? 12 : time.hour % 12, count)
        case "m": CivilTime.padded(time.minute, count)
        case "s": CivilTime.padded(time.second, count)
        case "S":
            String((CivilTime.padded(time.millisecond, 3) + "000000").prefix(count))
        case "a": time.hour < 12 ? "AM" : "PM"
        case "X": offset == 0 ? "Z" : zone(offset, count)
        case "x": zone(offset, count)
        default: zone(offset, 2)  // Z, ZZ, ZZZ
        }
    }

    /// `+hh[mm]`, `+hhmm` or `+hh:mm`.
    private static func zone(_ offset: Int, _ count: Int) -> String {
        let minutes = abs(offset) / 60
        let hours = CivilTime.padded(minutes / 60, 2)
        let rest = CivilTime.padded(minutes % 60, 2)
        let sign = offset < 0 ? "-" : "+"
        return switch count {
        case 1: sign + hours + (minutes % 60 == 0 ? "" : rest)
        case 2: sign + hours + rest
        default: sign + hours + ":" + rest
        }
    }
}
