internal import ArgumentParser
internal import Client
internal import Foundation
internal import JSON
internal import Records

/// Where the API is: options of the commands that call it.
struct ClientOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            The server. (default: AWS_ENDPOINT_URL_FIREHOSE, AWS_ENDPOINT_URL, else \
            \(FirehoseEndpoint.defaultURL))
            """,
            valueName: "url"
        )
    )
    var endpointURL: String?

    @Option(
        help: "The region in signatures. (default: AWS_REGION, AWS_DEFAULT_REGION, else us-east-1)"
    )
    var region: String?

    /// Runs a command with a client, and says on standard error what the server refuses.
    func withClient(_ work: (FirehoseClient) async throws -> Void) async throws {
        signal(SIGPIPE, SIG_IGN)
        try await Complaint.catching {
            let endpoint = try FirehoseEndpoint(
                url: endpointURL,
                region: region,
                environment: ProcessInfo.processInfo.environment
            )
            let client = FirehoseClient(endpoint)
            do {
                try await Self.advised { try await work(client) }
                client.shutDown()
            } catch {
                client.shutDown()
                throw error
            }
        }
    }

    /// Completes the names of the streams that a server has.
    static let streamNames = CompletionKind.shellCommand("hydrant streams list 2>/dev/null")

    /// Adds to a failure what to do about it.
    static func advised(_ work: () async throws -> Void) async throws {
        do {
            try await work()
        } catch let failure as FirehoseClient.Failure {
            guard let advice = failure.advice else { throw failure }
            throw SettingsError(description: "\(failure)\n  \(advice)")
        }
    }

    static let environment = """
        Requests are signed with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, and \
        go unsigned where there are none. AWS_CA_BUNDLE names the authorities of the server's \
        certificate.
        """
}

/// Reads JSON from a file, or from standard input where its name is `-`.
enum Document {
    static func read(_ file: String) throws -> JSONValue {
        let bytes =
            file == "-"
            ? try FileHandle.standardInput.readToEnd() ?? Data()
            : try contents(of: file)
        guard let value = try? JSONDecoder().decode(JSONValue.self, from: bytes) else {
            throw SettingsError(description: "\(file) is not valid JSON")
        }
        guard value.object != nil else {
            throw SettingsError(description: "\(file) is not a JSON object")
        }
        return value
    }

    private static func contents(of file: String) throws -> Data {
        guard let bytes = FileManager.default.contents(atPath: file) else {
            throw SettingsError(description: "\(file) cannot be read")
        }
        return bytes
    }

    /// A value as one line of JSON, its members in order.
    static func line(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    static func write(_ value: JSONValue) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try StandardStreams.print(String(decoding: try encoder.encode(value), as: UTF8.self))
    }
}

extension FirehoseClient.Failure {
    /// What to do about it; nil where the message says all.
    var advice: String? {
        switch code {
        case "Unreachable", "Unresolved":
            "is a server running there? `hydrant serve` starts one; --endpoint-url or "
                + "AWS_ENDPOINT_URL_FIREHOSE names another"
        case "ResourceNotFoundException": "`hydrant streams list` shows the streams that there are"
        case "MissingAuthenticationTokenException":
            "the server wants signed requests: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        case "UnrecognizedClientException", "InvalidSignatureException":
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be a key of the server's --credentials "
                + "file"
        case "AccessDeniedException":
            "the server's --credentials file says what each key may do"
        case "UnknownOperationException" where message.contains("Deliver"):
            "is that a server of this version?"
        default: nil
        }
    }
}
