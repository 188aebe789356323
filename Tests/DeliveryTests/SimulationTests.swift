import DeliverySimulation
import Platform
import Testing

@Suite(.timeLimit(.minutes(5))) struct SimulationTests {
    @Test func `whatever fails and whenever the server dies, each record goes where it belongs`()
        async throws
    {
        // Not on a thread of the cooperative pool, which other tests need.
        let threads = WorkerThreads(count: 1)
        let failure = try await threads.run { _ in Simulation.run(0..<20_000) }
        #expect(failure == nil, "\(failure.map { "\($0)" } ?? "")")
    }
}
