/// Which indexes are data streams, as answers tell: those take `create` alone.
///
/// To `index` they answer with an error whose type has other causes too, and only its text tells which.
/// So what is rejected in that way is sent again as `create`. That is as good for any index, since a
/// document is created once under its id. Where `create` is rejected in the same way, and nothing of the
/// index is taken, it was another cause.
struct DataStreams: Sendable {
    /// Names that are remembered.
    private static let maximumNames = 1000

    private var names: Set<String> = []

    /// Whether an index gets `create`.
    func contains(_ index: String) -> Bool { names.contains(index) }

    /// Learns from the answer to some actions.
    ///
    /// - Returns: The places of documents that are to be sent again as `create`.
    mutating func learn(
        from items: [BulkResponseReader.Item],
        to actions: [BulkBody.Action]
    ) -> [Int] {
        let rejected = items.indices.filter {
            items[$0].status == 400 && items[$0].isIllegalArgument
        }
        guard !rejected.isEmpty else { return [] }
        let taken = items.indices.filter {
            (200..<300).contains(items[$0].status) || items[$0].status == 409
        }
        let takenIndexes = Set(taken.map { actions[$0].index })
        var again: [Int] = []
        for place in rejected {
            let action = actions[place]
            if action.isCreate {
                if !takenIndexes.contains(action.index) { names.remove(action.index) }
                continue
            }
            again.append(place)
            if names.count >= Self.maximumNames { names.removeAll() }
            names.insert(action.index)
        }
        return again
    }
}
