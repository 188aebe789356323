internal import Destinations
internal import Records

/// A part of a buffer on its way, and what an answer makes of it.
extension RecordDeliveryStateMachine {
    /// A part that was read, and whose records are not all settled.
    struct Pending {
        var part: Part
        /// Places of the records that are not settled.
        var places: [Int]
        var failed: [FailedRecord] = []
        var attempts = 0
        /// How many requests more than attempts carried a record.
        var extraRequests: [Int: Int] = [:]
        /// Since when the destination may hold records that no answer says it took; nil where it does not.
        var uncertainSince: Timestamp?
        /// What the destination is asked about the records that failed, for what follows.
        var look: Look?
    }

    /// A question which of the records that failed are there.
    struct Look {
        /// Their places.
        var places: [Int]
        /// When it was asked first.
        var start: Timestamp
        /// What comes behind it: a wait before the next attempt, or, without one, the next part.
        var wait: RetryWait?
    }

    static func place(of record: FailedRecord, in part: Pending) -> Int {
        var (low, high) = (0, part.part.numbers.count)
        while low < high {
            let middle = (low + high) / 2
            if part.part.numbers[middle] < record.number { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Sorts an answer's fates; refused records are failed for good.
    static func settle(
        _ part: inout Pending,
        _ answer: DeliveryAnswer,
        _ now: Timestamp
    ) -> (report: Report, failed: [FailedRecord], isUncertain: Bool) {
        var isUncertain = false
        var report = Report(attempts: part.attempts)
        var failed: [FailedRecord] = []
        for (index, place) in part.places.enumerated() {
            let extra = part.extraRequests[place, default: 0] + answer.attempts[index] - 1
            if extra > 0 { part.extraRequests[place] = extra }
            func record(_ failure: DeliveryFailure, isSetAside: Bool = false) -> FailedRecord {
                FailedRecord(
                    number: part.part.numbers[place],
                    failure: failure,
                    attempts: part.attempts + extra,
                    endedAt: now,
                    isSetAside: isSetAside
                )
            }
            switch answer.fates[index] {
            case .delivered: report.delivered.append(place)
            case .refused(let failure):
                report.refused += 1
                part.failed.append(record(failure, isSetAside: answer.setsAside))
            case .failed(let failure), .unknown(let failure):
                if case .unknown = answer.fates[index] { isUncertain = true }
                report.failure = report.failure ?? failure
                failed.append(record(failure))
            }
        }
        report.failed = failed.count
        return (report, failed, isUncertain)
    }
}
