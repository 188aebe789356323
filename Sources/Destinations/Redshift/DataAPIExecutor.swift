internal import Crypto
internal import Egress
internal import Foundation
internal import JSON
internal import Platform
internal import Records
internal import SigV4

/// The Redshift Data API over HTTP (AWS's API reference, "Amazon Redshift Data API").
struct DataAPIExecutor: CopyExecutor {
    private static let service = "redshift-data"
    private static let firstPause: Duration = .seconds(1)
    private static let longestPause: Duration = .seconds(10)

    private let settings: CopySettings
    private let client: HTTPClient
    private let time: any TimeSource

    init(_ settings: CopySettings, client: HTTPClient, time: any TimeSource) {
        self.settings = settings
        self.client = client
        self.time = time
    }

    /// Errors of the Data API that decisions are made by.
    private enum Exception: String {
        case accessDenied = "AccessDeniedException"
        case unknownKey = "UnrecognizedClientException"
        case invalidSignature = "InvalidSignatureException"
        case expiredToken = "ExpiredTokenException"
        case incompleteSignature = "IncompleteSignature"
        case invalidToken = "InvalidClientTokenId"
        case missingToken = "MissingAuthenticationToken"
        case noConnection = "DatabaseConnectionException"
        case throttling = "ThrottlingException"
        case tooManyStatements = "ActiveStatementsExceededException"
        case tooManySessions = "ActiveSessionsExceededException"
        case resourceNotFound = "ResourceNotFoundException"

        var code: CopyFailure.Code {
            switch self {
            case .accessDenied: .accessDenied
            case .unknownKey, .invalidSignature, .expiredToken, .incompleteSignature, .invalidToken,
                .missingToken:
                .authenticationFailed
            case .noConnection, .throttling, .tooManyStatements, .tooManySessions: .connectionFailed
            case .resourceNotFound: .internalError
            }
        }
    }

    /// What stopped a COPY.
    private struct Stop: Error {
        var failure: CopyFailure
        /// The error that the API answered with, where it is a known one.
        var exception: Exception?
        /// Whether the statement may have run, or may run yet.
        var mayHaveRun: Bool
        /// Whether the statement that loads has ended, and loaded nothing.
        var hasEnded = false
    }

    func run(
        _ statement: String,
        _ job: CopyService.Job
    ) async throws(CancellationError) -> CopyService.Outcome {
        do {
            return try await load(statement, job)
        } catch let stop as Stop {
            var failure = stop.failure
            failure.message = settings.redacted(failure.message, job.warehouse)
            if stop.mayHaveRun { return .unknown(failure.failure) }
            return stop.hasEnded ? .failed(failure.failure) : .notRun(failure.failure)
        } catch {
            throw CancellationError()
        }
    }

    private func load(
        _ statement: String,
        _ job: CopyService.Job
    ) async throws -> CopyService.Outcome {
        var members = target(job.warehouse)
        members["StatementName"] = .string(String(job.stream.prefix(500)))
        guard let ledger = settings.ledger else {
            members["ClientToken"] = .string(job.token)
            members["Sql"] = .string(statement)
            _ = try await finish("ExecuteStatement", members, job, isLoad: true)
            return .loaded
        }
        if ledger.creates {
            members["Sql"] = .string(ledger.creation)
            do {
                _ = try await finish("ExecuteStatement", members, job, isLoad: false)
            } catch is Stop {
                // It may be there though it cannot be created: the search tells.
            }
        }
        if try await isLoaded(ledger, members, job) { return .loadedBefore }
        var batch = members
        batch["Sql"] = nil
        batch["ClientToken"] = .string(job.token)
        batch["Sqls"] = [
            .string(ledger.lock), .string(ledger.refusal(job.ledgerKey)), .string(statement),
            .string(ledger.insertion(job.ledgerKey, stream: job.stream)),
        ]
        do {
            _ = try await finish("BatchExecuteStatement", batch, job, isLoad: true)
        } catch let stop as Stop where stop.hasEnded {
            // Another may have come first.
            if try await isLoaded(ledger, members, job) { return .loadedBefore }
            throw stop
        }
        return .loaded
    }

    private func isLoaded(
        _ ledger: CopyLedger,
        _ members: JSONValue,
        _ job: CopyService.Job
    ) async throws -> Bool {
        var members = members
        members["Sql"] = .string(ledger.search(job.ledgerKey))
        let search = try await finish("ExecuteStatement", members, job, isLoad: false)
        let found = try await call("GetStatementResult", ["Id": .string(search)], job)
        let value = found["Records"]?.array?.first?.array?.first
        return value?["booleanValue"]?.boolean == true || value?["stringValue"]?.string == "t"
    }

    /// Whom a statement is for.
    private func target(_ warehouse: RedshiftConfiguration) -> JSONValue {
        let labels = warehouse.host.split(separator: ".").map(String.init)
        let isWorkgroup = labels.contains("redshift-serverless")
        var members: JSONValue = ["Database": .string(warehouse.database)]
        members[isWorkgroup ? "WorkgroupName" : "ClusterIdentifier"] = .string(labels.first ?? "")
        if let secret = settings.dataAPISecret {
            members["SecretArn"] = .string(secret)
        } else if !isWorkgroup, !warehouse.user.isEmpty {
            members["DbUser"] = .string(warehouse.user)
        }
        return members
    }

    /// Has a statement run to its end.
    ///
    /// - Returns: Its id.
    private func finish(
        _ action: String,
        _ members: JSONValue,
        _ job: CopyService.Job,
        isLoad: Bool
    ) async throws -> String {
        let answer = try await call(action, members, job)
        guard let id = answer["Id"]?.string else {
            throw Stop(
                failure: CopyFailure(
                    .internalError,
                    "the answer to \(action) has no Id"
                ),
                mayHaveRun: isLoad
            )
        }
        let deadline = time.steady() + settings.timeout
        var pause = Self.firstPause
        while true {
            let status: JSONValue
            do {
                status = try await call("DescribeStatement", ["Id": .string(id)], job)
            } catch let stop as Stop {
                // One that is not known any more will never be.
                let isForgotten = stop.exception == .resourceNotFound
                guard time.steady() < deadline, !isForgotten else {
                    throw Stop(failure: stop.failure, mayHaveRun: isLoad)
                }
                // What could not be asked is asked again: the statement goes on.
                status = [:]
            }
            switch status["Status"]?.string {
            case "FINISHED": return id
            case "FAILED", "ABORTED":
                let message = status["Error"]?.string ?? "the statement was ended"
                throw Stop(
                    failure: CopyFailure(state: nil, message: message),
                    mayHaveRun: false,
                    hasEnded: isLoad
                )
            default: break
            }
            guard time.steady() < deadline else {
                // What it comes to, the next attempt asks for.
                _ = try? await call("CancelStatement", ["Id": .string(id)], job)
                throw Stop(
                    failure: CopyFailure(
                        .connectionFailed,
                        "the statement \(id) did not end within \(settings.timeout)"
                    ),
                    mayHaveRun: isLoad
                )
            }
            try await time.sleep(for: pause)
            pause = min(Self.longestPause, pause * 3 / 2)
        }
    }

    // MARK: Calls

    /// A signed request.
    private func request(
        _ action: String,
        _ body: [UInt8],
        _ warehouse: RedshiftConfiguration
    ) throws(Stop) -> HTTPRequest {
        let region = region(warehouse)
        let url =
            settings.dataAPIEndpoint ?? "https://\(Self.service).\(region).amazonaws.com"
        guard let endpoint = EndpointURL(url), let credentials = settings.credentials else {
            throw Stop(
                failure: CopyFailure(
                    .internalError,
                    "the Data API's endpoint \(url) is not a valid URL"
                ),
                mayHaveRun: false
            )
        }
        let path = endpoint.path.isEmpty ? "/" : endpoint.path
        let signer = RequestSigner(credentials: credentials, region: region, service: Self.service)
        let headers = signer.sign(
            RequestSigner.Request(
                method: "POST",
                path: path,
                query: [],
                headers: [
                    (name: "Host", value: endpoint.authority),
                    (name: "Content-Type", value: "application/x-amz-json-1.1"),
                    (name: "X-Amz-Target", value: "RedshiftData.\(action)"),
                ],
                payloadHash: Hexadecimal.text(SHA256.hash(data: body))
            ),
            at: time.now()
        )
        return HTTPRequest(
            method: "POST",
            url: "\(endpoint.scheme)://\(endpoint.authority)\(path)",
            headers: headers,
            body: .bytes(body),
            timeout: settings.requestTimeout,
            stallTimeout: settings.requestTimeout
        )
    }

    private func call(
        _ action: String,
        _ members: JSONValue,
        _ job: CopyService.Job
    ) async throws -> JSONValue {
        let body = Array(try JSONEncoder().encode(members))
        let request = try request(action, body, job.warehouse)
        let isLoad = members["ClientToken"] != nil
        let response: HTTPResponse
        do {
            response = try await client.send(request)
        } catch let error as EgressError {
            throw Stop(
                failure: CopyFailure(
                    .connectionFailed,
                    "\(action): \(error.message)"
                ),
                mayHaveRun: isLoad
            )
        }
        let content = try? JSONCursor.value(of: response.body)  // no JSON has no members
        if response.status == 200, let content, content.object != nil { return content }
        let type =
            (content?["__type"]?.string ?? "").split(separator: "#").last.map(String.init) ?? ""
        let exception = Exception(rawValue: type)
        let message = content?["message"]?.string ?? content?["Message"]?.string
        throw Stop(
            failure: CopyFailure(
                exception?.code ?? .internalError,
                "\(action): \(response.status) \(type) \(message ?? response.excerpt)"
            ),
            exception: exception,
            mayHaveRun: isLoad && (response.status >= 500 || response.status == 200)
        )
    }

    /// Where a cluster (`NAME.ID.REGION.redshift.amazonaws.com`) or workgroup is.
    private func region(_ warehouse: RedshiftConfiguration) -> String {
        let labels = warehouse.host.split(separator: ".").map(String.init)
        guard let place = labels.firstIndex(where: { $0.hasPrefix("redshift") }), place > 0,
            labels[place - 1].contains("-")
        else { return settings.region }
        return labels[place - 1]
    }
}
