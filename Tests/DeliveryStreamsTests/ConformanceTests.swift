import DeliveryTesting
import Records
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct ConformanceTests {
    private static let runs = Conformance.all.indices.flatMap { place in
        ConformanceCase.allCases.filter { Conformance.all[place].exceptions[$0] == nil }
            .flatMap { each in
                LogKind.allCases.map { (Conformance.all[place].name, place, each, $0) }
            }
    }

    @Test(arguments: runs)
    func `every record is delivered once, or kept as failed`(
        name: String,
        place: Int,
        each: ConformanceCase,
        logs: LogKind
    ) async throws {
        var conformance = Conformance.all[place]
        conformance.logs = logs
        let findings = try await conformance.run(each)
        #expect(findings == [])
    }

    @Test func `every kind of destination is run`() {
        #expect(Set(Conformance.all.map(\.kind)) == Set(DestinationKind.allCases))
    }

    @Test func `what a destination cannot meet with has a reason`() {
        for conformance in Conformance.all {
            for (each, reason) in conformance.exceptions {
                print("conformance: \(conformance.name), not \(each.rawValue): \(reason)")
                #expect(!reason.isEmpty)
            }
        }
        print("conformance: \(Self.runs.count) runs")
    }
}
