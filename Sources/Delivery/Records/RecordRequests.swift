internal import Destinations
internal import Platform
internal import Records
internal import Synchronization

/// What the requests of one pipeline share: their destinations, and what they may take of memory.
final class RecordRequests: Sendable {
    private let stream: String
    private let environment: DeliveryEnvironment
    /// Bounds the stream's own requests that are in memory.
    private let places = Semaphore(Limits.maximumRequestsOfStream)
    /// Whether the last request brought nothing, and took long for it.
    private let isInTrouble = Atomic(false)
    /// As they are configured now and were a moment ago.
    private let destinations = Mutex<[DestinationConfiguration: any RecordDestination]>([:])

    init(stream: String, _ environment: DeliveryEnvironment) {
        self.stream = stream
        self.environment = environment
    }

    /// Destinations are made once for each configuration.
    func destination(_ configuration: DestinationConfiguration) throws -> any RecordDestination {
        try destinations.withLock { known in
            if let destination = known[configuration] { return destination }
            guard let factory = environment.options.recordDestinations else {
                throw FirehoseError(.invalidArgument, "this server delivers objects alone")
            }
            let destination = try factory.make(configuration, stream: stream)
            // Few at a time; those of former configurations are over soon.
            if known.count >= 4 { known.removeAll() }
            known[configuration] = destination
            return destination
        }
    }

    /// The last request took so long, and brought something or nothing.
    func answered(isTaken: Bool, after waited: Duration) {
        let isSlow = waited >= .seconds(Limits.troubledRequestSeconds)
        isInTrouble.store(!isTaken && isSlow, ordering: .relaxed)
    }

    /// Runs what has a request with records between two marks in memory, once it may be.
    func inMemory<Value>(
        from start: LogMark,
        to end: LogMark,
        _ limits: RequestLimits,
        _ work: () async throws -> Value
    ) async throws -> Value {
        let bytes = min(max(end.bytes, start.bytes) - start.bytes, limits.dataBytes)
        let records = min(max(end.records, start.records) - start.records, limits.records)
        let kibibytes = Int((bytes + records * Limits.requestBytesOfRecord) / 1024)
        return try await places.holding {
            // A destination that does not answer takes nothing from those that do.
            let memory =
                isInTrouble.load(ordering: .relaxed)
                ? environment.troubledRequestMemory : environment.requestMemory
            return try await memory.holding(
                2 * (kibibytes + Limits.requestOverheadKibibytes),
                work
            )
        }
    }
}
