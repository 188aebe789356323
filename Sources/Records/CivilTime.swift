/// A moment as people write it: date and time of day in the proleptic Gregorian calendar.
package struct CivilTime: Sendable, Hashable {
    /// The year.
    package var year: Int
    /// 1 to 12.
    package var month: Int
    /// 1 to 31.
    package var day: Int
    /// 0 to 23.
    package var hour: Int
    /// 0 to 59.
    package var minute: Int
    /// 0 to 59.
    package var second: Int
    /// 0 to 999.
    package var millisecond: Int
    /// 1 to 366.
    package var dayOfYear: Int
    /// 1 is Monday, 7 is Sunday (ISO 8601).
    package var weekday: Int

    /// What clocks show at `moment` where they are `offsetSeconds` ahead of UTC.
    ///
    /// The date is Howard Hinnant's `civil_from_days` (chrono-Compatible Low-Level Date Algorithms).
    package init(_ moment: Timestamp, offsetSeconds: Int = 0) {
        let total = moment.seconds + Int64(offsetSeconds)
        let days = Int(total >= 0 ? total / 86400 : (total - 86399) / 86400)
        let rest = Int(total) - days * 86400
        millisecond = Int(moment.milliseconds - moment.seconds * 1000)
        hour = rest / 3600
        minute = rest / 60 % 60
        second = rest % 60
        weekday = ((days + 3) % 7 + 7) % 7 + 1
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfShifted = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfShifted + 2) / 153
        day = dayOfShifted - (153 * monthFromMarch + 2) / 5 + 1
        month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let isLeap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
        let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][month - 1]
        dayOfYear = before + day + (isLeap && month > 2 ? 1 : 0)
    }

    /// A number with leading zeros, at least `width` digits.
    package static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    /// `yyyyMMdd`.
    package var basicDate: String {
        Self.padded(year, 4) + Self.padded(month, 2) + Self.padded(day, 2)
    }

    /// `yyyyMMdd'T'HHmmss'Z'`, for a time in UTC.
    package var basicDateTime: String {
        basicDate + "T" + Self.padded(hour, 2) + Self.padded(minute, 2) + Self.padded(second, 2)
            + "Z"
    }

    fileprivate static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
    private static let weekdays = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]

    /// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7: IMF-fixdate), for a time in UTC.
    package var fixdate: String {
        let clock = [hour, minute, second].map { Self.padded($0, 2) }.joined(separator: ":")
        return "\(Self.weekdays[weekday - 1]), \(Self.padded(day, 2)) \(Self.months[month - 1]) "
            + "\(year) \(clock) GMT"
    }
}

extension Timestamp {
    /// The moment of a date and time in UTC; nil where there is no such day or time.
    package init?(year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int) {
        guard (1...9999).contains(year), (1...12).contains(month), (1...31).contains(day),
            (0...23).contains(hour), (0...59).contains(minute), (0...60).contains(second)
        else { return nil }
        // Howard Hinnant's `days_from_civil`, as in `CivilTime`.
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = shiftedYear / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * 146_097 + dayOfEra - 719_468
        self.init(
            milliseconds: Int64(days * 86400 + hour * 3600 + minute * 60 + second) * 1000
        )
        guard CivilTime(self).day == day || second == 60 else { return nil }
    }

    /// The moment that `yyyyMMdd'T'HHmmss'Z'` says.
    package init?(basicDateTime text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == 16, bytes[8] == UInt8(ascii: "T"), bytes[15] == UInt8(ascii: "Z"),
            let year = Self.number(bytes[0..<4]), let month = Self.number(bytes[4..<6]),
            let day = Self.number(bytes[6..<8]), let hour = Self.number(bytes[9..<11]),
            let minute = Self.number(bytes[11..<13]), let second = Self.number(bytes[13..<15])
        else { return nil }
        self.init(
            year: year,
            month: month,
            day: day,
            hour: hour,
            minute: minute,
            second: second
        )
    }

    /// The moment that an HTTP date says: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7).
    package init?(fixdate text: String) {
        let parts = text.split(whereSeparator: { $0 == " " || $0 == "," || $0 == ":" })
        guard parts.count == 8, parts[7] == "GMT",
            let month = CivilTime.months.firstIndex(of: String(parts[2])),
            let day = Int(parts[1]), let year = Int(parts[3]), let hour = Int(parts[4]),
            let minute = Int(parts[5]), let second = Int(parts[6])
        else { return nil }
        self.init(
            year: year,
            month: month + 1,
            day: day,
            hour: hour,
            minute: minute,
            second: second
        )
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
        digits.reduce(0) { total, byte in
            guard let total, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else {
                return nil
            }
            return total * 10 + Int(byte - UInt8(ascii: "0"))
        }
    }
}
