internal import Destinations
internal import Records

extension DeliveryAnswer {
    /// The answer for all records of a part, of which some could not be sent: those cannot be read any more.
    func spread(over found: [Int?]) -> DeliveryAnswer {
        guard found.contains(nil) else { return self }
        var whole = self
        var fates = fates.makeIterator()
        var attempts = attempts.makeIterator()
        whole.fates = found.map {
            $0 == nil ? .refused(.unreadable) : fates.next() ?? .refused(.unreadable)
        }
        whole.attempts = found.map { $0 == nil ? 1 : attempts.next() ?? 1 }
        if let confirmation {
            whole.confirmation = { try await confirmation().spread(over: found) }
        }
        return whole
    }
}

extension LookAnswer {
    /// The same of a look: what cannot be read is not looked for.
    func spread(over found: [Int?]) -> LookAnswer {
        guard case .found(let isThere) = self, found.contains(nil) else { return self }
        var known = isThere.makeIterator()
        return .found(found.map { $0 == nil ? false : known.next() ?? false })
    }
}

extension DeliveryFailure {
    /// A record that was there, and is lost to damage in the log.
    fileprivate static let unreadable = DeliveryFailure(
        code: "Unreadable",
        message: "The record cannot be read from the log any more."
    )
}
