internal import Records
internal import Synchronization

/// The `Date` header, made once a second.
final class HTTPDates: Sendable {
    private let time: any TimeSource
    private let current = Mutex<(second: Int64, text: String)>((.min, ""))

    init(time: any TimeSource) { self.time = time }

    func now() -> String {
        let now = time.now()
        return current.withLock { current in
            if current.second != now.seconds { current = (now.seconds, CivilTime(now).fixdate) }
            return current.text
        }
    }
}
