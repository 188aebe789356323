internal import Egress

extension HTTPEndpointDestination {
    func reach() async throws -> Reach {
        switch try await context.send(requests.probe()).0 {
        case .failure(let error): Reach(error)
        case .success(let response):
            .reached("it answers (\(response.status) to HEAD; records are not tried)")
        }
    }
}
