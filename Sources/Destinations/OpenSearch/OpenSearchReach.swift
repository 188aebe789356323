internal import Egress
internal import JSON

extension OpenSearchDestination {
    func reach() async throws -> Reach {
        var request = requests.root()
        request.timeout = min(request.timeout, Reach.timeout)
        switch try await context.send(request).0 {
        case .failure(let error): return Reach(error)
        case .success(let response):
            switch response.status {
            case 200:
                let content = try? JSONCursor.value(of: response.body)
                let version = content?["version"]?["number"]?.string.map { ", version \($0)" }
                return .reached("the cluster answers\(version ?? "")")
            case 401: return .failed("401: it does not know the user, or the password is wrong")
            case 403: return .doubtful("403: the user may not ask for the cluster itself")
            default: return .doubtful("\(response.status): \(response.excerpt)")
            }
        }
    }
}
