internal import Records

/// How an index's name goes on with the time (API model: `ElasticsearchIndexRotationPeriod`).
///
/// Source: developer guide, "Index rotation for the Amazon OpenSearch Service destination".
enum IndexRotation: String, Sendable {
    case noRotation = "NoRotation"
    case oneHour = "OneHour"
    case oneDay = "OneDay"
    case oneWeek = "OneWeek"
    case oneMonth = "OneMonth"

    /// What follows the name for what arrived at a moment (UTC).
    func suffix(at moment: Timestamp) -> String {
        let time = CivilTime(moment)
        let month = "-\(CivilTime.padded(time.year, 4))-\(CivilTime.padded(time.month, 2))"
        let day = "\(month)-\(CivilTime.padded(time.day, 2))"
        switch self {
        case .noRotation: return ""
        case .oneHour: return "\(day)-\(CivilTime.padded(time.hour, 2))"
        case .oneDay: return day
        case .oneMonth: return month
        case .oneWeek:
            // A week begins on Sunday and is that of its Saturday's year, whose first week contains
            // its first Saturday.
            let saturday = CivilTime(moment + .seconds((6 - time.weekday % 7) * 86_400))
            let week = (saturday.dayOfYear - 1) / 7 + 1
            return "-\(CivilTime.padded(saturday.year, 4))-w\(CivilTime.padded(week, 2))"
        }
    }
}
