extension Places {
    /// Runs what needs places, and gives them back whatever comes of it.
    func holding<Value>(
        _ count: Int = 1,
        _ work: () async throws -> Value
    ) async throws -> Value {
        let taken = try await take(count)
        defer { giveBack(taken) }
        return try await work()
    }
}
