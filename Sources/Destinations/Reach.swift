internal import Crypto
internal import Egress
internal import Foundation
internal import JSON
package import Records
internal import SigV4

/// What was found where records are to go, without anything being written there.
package enum Reach: Sendable {
    /// It answers, and knows us as far as it can be asked.
    case reached(String)
    /// It answers; whether it would take records is not known.
    case doubtful(String)
    /// It would take nothing.
    case failed(String)

    /// How long an answer is waited for.
    static let timeout: Duration = .seconds(10)

    init(_ failure: EgressError) { self = .failed("\(failure.kind.rawValue): \(failure.message)") }
}

extension S3ObjectStore {
    /// Lists one key of a bucket.
    package func reach(bucket: String) async throws -> Reach {
        var request = request(
            "GET",
            bucket,
            "",
            [("list-type", "2"), ("max-keys", "1")],
            limit: 1 << 20
        )
        request.timeout = Reach.timeout
        do {
            let response = try await client.send(request)
            guard response.status != 200 else { return .reached("it can be listed") }
            let failure = S3Failure.failure(of: response, bucket: bucket)
            let text = "\(failure.code): \(failure.message)"
            return failure.code == "S3.AccessDenied"
                ? .doubtful(
                    "it may not be listed, so whether it may be written is not known: \(text)"
                )
                : .failed(text)
        } catch let error as EgressError {
            return Reach(error)
        }
    }
}

extension RecordDestinations {
    /// Asks the destination that a stream's configuration describes whether it is there.
    ///
    /// - Throws: As `make`; `CancellationError`.
    package func reach(
        _ configuration: DestinationConfiguration,
        stream: String
    ) async throws -> Reach {
        switch try make(configuration, stream: stream) {
        case let destination as OpenSearchDestination: try await destination.reach()
        case let destination as HTTPEndpointDestination: try await destination.reach()
        case let destination as SplunkDestination: try await destination.reach()
        default: .doubtful("it cannot be asked")
        }
    }
}

extension OpenSearchDestination {
    fileprivate func reach() async throws -> Reach {
        var request = request("GET", endpoint.path + "/", query: [], body: [])
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

extension HTTPEndpointDestination {
    fileprivate func reach() async throws -> Reach {
        var request = HTTPRequest(
            method: "HEAD",
            url: url,
            headers: [(name: "User-Agent", value: "hydrant")],
            timeout: min(.seconds(entry?.timeoutSeconds ?? .max), Reach.timeout)
        )
        request.certificateAuthorities = entry?.certificateAuthority
        return switch try await context.send(request).0 {
        case .failure(let error): Reach(error)
        case .success(let response):
            .reached("it answers (\(response.status) to HEAD; records are not tried)")
        }
    }
}

extension SplunkDestination {
    /// Without data, the collector says whether it knows the token ("HTTP Event Collector REST API
    /// endpoints", status codes: 5 is "No data").
    fileprivate func reach() async throws -> Reach {
        let path = "/services/collector/raw"
        var request = request(path, [], cookies: "")
        request.timeout = min(request.timeout, Reach.timeout)
        switch try await context.send(request).0 {
        case .failure(let error): return Reach(error)
        case .success(let response):
            let code = (try? JSONCursor.value(of: response.body))?["code"]?.integer
            let text = "\(response.status): \(response.excerpt)"
            switch (code, response.status) {
            case (0, _), (5, _): return .reached("the collector answers, and knows the token")
            case (1, _), (2, _), (3, _), (4, _), (21, _), (22, _), (nil, 401), (nil, 403):
                return .failed("the collector refuses the token: \(text)")
            case (14, _): return .failed("the token has no indexer acknowledgement: \(text)")
            case (nil, 404): return .failed("there is no collector: \(text)")
            default: return .doubtful(text)
            }
        }
    }
}

extension CopyService {
    /// Runs a statement in a warehouse that changes nothing.
    package func reach(_ warehouse: Warehouse) async throws -> Reach {
        let job = Job(
            warehouse: warehouse,
            manifest: "",
            stream: "check",
            token: UUID().uuidString
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
