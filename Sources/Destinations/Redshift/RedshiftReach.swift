internal import Platform
internal import Records

extension CopyService {
    /// Runs a statement in a warehouse that changes nothing.
    package func reach(_ warehouse: RedshiftConfiguration) async throws -> Reach {
        let job = Job(
            warehouse: warehouse,
            manifest: "",
            stream: "check",
            token: UUIDText.random()
        )
        guard let outcome = try await asking?.run("SELECT 1", job) else {
            return .reached("nothing is loaded (--copy none)")
        }
        return switch outcome {
        case .loaded, .loadedBefore: .reached("the warehouse answers")
        case .failed(let failure), .notRun(let failure), .unknown(let failure):
            .failed("\(failure.code): \(failure.message)")
        }
    }
}
