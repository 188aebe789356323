internal import Egress

extension SplunkDestination {
    /// Without data, the collector says whether it knows the token ("HTTP Event Collector REST API
    /// endpoints", status codes: 5 is "No data").
    func reach() async throws -> Reach {
        var request = requests.probe()
        request.timeout = min(request.timeout, Reach.timeout)
        switch try await context.send(request).0 {
        case .failure(let error): return Reach(error)
        case .success(let response):
            let answer = SplunkResponse(response)
            switch answer.code {
            case SplunkResponse.Code.success, SplunkResponse.Code.noData:
                return .reached("the collector answers, and knows the token")
            case SplunkResponse.Code.acknowledgementIsDisabled:
                return .failed("the token has no indexer acknowledgement: \(answer.excerpt)")
            case nil where answer.status == 404:
                return .failed("there is no collector: \(answer.excerpt)")
            case let code where isOfToken(code, answer.status):
                return .failed("the collector refuses the token: \(answer.excerpt)")
            default: return .doubtful(answer.excerpt)
            }
        }
    }

    private func isOfToken(_ code: Int?, _ status: Int) -> Bool {
        guard let code else { return status == 401 || status == 403 }
        return SplunkResponse.Code.tokenIsInvalid.contains(code)
            || SplunkResponse.Code.tokenIsDisabled.contains(code)
    }
}
