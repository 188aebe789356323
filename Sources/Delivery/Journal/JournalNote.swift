internal import Records

/// What is new about a buffer that is in the journal.
///
/// A note may come twice, late, or beside another one: together they say the same in any order.
package enum JournalNote: Sendable, Hashable {
    /// Nothing is left to do but to move the checkpoint.
    case settled
    /// What is delivered of it.
    case progress(DeliveryProgress)
    /// How far the load of its object has come.
    case load(LoadState)
    /// Its failed records are durable.
    case kept(KeptRecords)
    /// What was kept of its failed records cannot be read.
    case keptAreDamaged
}

extension JournalEntry {
    /// Takes what a note says.
    package mutating func merge(_ note: JournalNote) {
        switch note {
        case .settled: isSettled = true
        case .progress(let new):
            if progress == nil { progress = new } else { progress?.merge(new) }
        case .load(let new):
            if load.map({ new.isLater(than: $0) }) ?? true { load = new }
        case .kept(let new):
            // The first that was durable counts: an object may have been written from it.
            if kept == nil { kept = new }
            version = 3
        case .keptAreDamaged:
            kept = nil
            failures = nil
        }
    }
}

extension LoadState {
    /// Whether it was written after another of the same load.
    func isLater(than other: LoadState) -> Bool {
        if attempts != other.attempts { return attempts > other.attempts }
        // Of one attempt: that it ended is known later than that it was begun.
        if isOpen != other.isOpen { return !isOpen }
        return givenUp != nil || other.givenUp == nil
    }
}
