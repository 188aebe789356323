import DeliverySimulation
import Testing

@Suite struct SimulationTests {
    @Test func `whatever fails and whenever the server dies, each record goes where it belongs`() {
        let failure = Simulation.run(0..<20_000)
        #expect(failure == nil, "\(failure.map { "\($0)" } ?? "")")
    }
}
