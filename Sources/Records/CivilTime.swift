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
}
