package import Records

/// How far a buffer whose records go one by one has come.
package struct DeliveryProgress: Sendable, Codable, Hashable {
    /// The number of the record behind the last that an answer was for.
    package var next: RecordNumber
    /// The numbers of those before it that are not delivered, in order.
    package var open: [RecordNumber]

    /// Nothing before a record is open but what is named.
    package init(next: RecordNumber, open: [RecordNumber]) {
        self.next = next
        self.open = open
    }

    /// Whether a record is delivered.
    package func isDelivered(_ number: RecordNumber) -> Bool {
        guard number < next else { return false }
        var (low, high) = (0, open.count)
        while low < high {
            let middle = (low + high) / 2
            if open[middle] < number { low = middle + 1 } else { high = middle }
        }
        return low == open.count || open[low] != number
    }

    /// Takes what an answer says; both lists are in order.
    mutating func add(
        delivered: [RecordNumber],
        open more: [RecordNumber],
        upTo end: RecordNumber
    ) {
        next = max(next, end)
        guard !more.isEmpty || !open.isEmpty else { return }
        open = Set(open).subtracting(delivered).union(more).sorted()
    }

    /// What two know together: delivered is what one of them knows to be.
    mutating func merge(_ other: DeliveryProgress) {
        let all = Set(open).union(other.open)
        let mine = self
        func isOpen(_ number: RecordNumber) -> Bool {
            !mine.isDelivered(number) && !other.isDelivered(number)
        }
        open = all.filter(isOpen).sorted()
        next = max(next, other.next)
    }
}
