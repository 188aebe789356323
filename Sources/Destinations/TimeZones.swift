internal import Foundation
package import Records

/// Offsets of IANA time zones.
package enum TimeZones {
    /// True where the zone is known (tz database names, `UTC`, `GMT`).
    package static func isKnown(_ name: String) -> Bool { TimeZone(identifier: name) != nil }

    /// Seconds by which clocks in a zone are ahead of UTC at a moment; 0 for none and for a zone
    /// that is not known.
    package static func offsetSeconds(of name: String?, at moment: Timestamp) -> Int {
        guard let name, let zone = TimeZone(identifier: name) else { return 0 }
        let date = Date(timeIntervalSince1970: Double(moment.milliseconds) / 1000)
        return zone.secondsFromGMT(for: date)
    }
}
