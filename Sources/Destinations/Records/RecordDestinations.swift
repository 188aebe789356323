package import Egress
package import Platform
package import Records
package import SigV4

/// Makes destinations that take records, out of their configuration; a test that scripts one which is
/// reached by no connection has another.
package protocol RecordDestinationFactory: Sendable {
    /// The destination that a stream's configuration describes.
    ///
    /// - Throws: InvalidArgument where its endpoint is no URL, or asks for credentials that there are
    ///   none of, or where there is no such destination.
    func make(
        _ configuration: DestinationConfiguration,
        stream: String
    ) throws(FirehoseError) -> any RecordDestination
}

/// Makes all that are in the table of destinations.
package struct RecordDestinations: RecordDestinationFactory {
    /// What one is made with beside its configuration.
    struct Context: Sendable {
        var client: HTTPClient
        var time: any TimeSource
        /// For reading and encoding what is sent.
        var threads: WorkerThreads
        var credentials: Credentials?
        var settings: EndpointSettings
        /// The stream that it is of.
        var streamARN = ""
    }

    private let context: Context
    private let identity: ServiceIdentity

    /// Makes destinations that are reached through `client`.
    ///
    /// - Parameters:
    ///   - client: For all requests.
    ///   - settings: How endpoints are reached beyond what a stream's configuration can say.
    ///   - credentials: Who signs requests for AWS's services; nil for nobody.
    ///   - identity: Who this server is.
    ///   - threads: For reading and encoding what is sent.
    ///   - time: The clock.
    package init(
        client: HTTPClient,
        settings: EndpointSettings = EndpointSettings(),
        credentials: Credentials? = nil,
        identity: ServiceIdentity,
        threads: WorkerThreads,
        time: any TimeSource
    ) {
        context = Context(
            client: client,
            time: time,
            threads: threads,
            credentials: credentials,
            settings: settings
        )
        self.identity = identity
    }

    /// By the line of its kind; see the protocol.
    package func make(
        _ configuration: DestinationConfiguration,
        stream: String
    ) throws(FirehoseError) -> any RecordDestination {
        guard case .records(let records) = DestinationType.of(configuration.kind).delivery else {
            throw FirehoseError(
                .invalidArgument,
                "\(configuration.kind.configurationMember) takes objects, not records"
            )
        }
        var context = context
        context.streamARN = identity.arn(ofStream: stream)
        return try records.make(configuration, context)
    }

    /// Asks the destination that a stream's configuration describes whether it is there.
    ///
    /// - Throws: As `make`; `CancellationError`.
    package func reach(
        _ configuration: DestinationConfiguration,
        stream: String
    ) async throws -> Reach {
        try await make(configuration, stream: stream).reach()
    }
}

extension RecordDestinations.Context {
    /// Sends a request, and measures how long that takes.
    func send(
        _ request: HTTPRequest
    ) async throws(CancellationError) -> (Result<HTTPResponse, EgressError>, waited: Duration) {
        let start = time.steady()
        do {
            let response = try await client.send(request)
            return (.success(response), time.steady() - start)
        } catch let error as EgressError {
            return (.failure(error), time.steady() - start)
        } catch {
            throw CancellationError()
        }
    }
}

extension HTTPResponse {
    /// What `Retry-After` says (RFC 9110, section 10.2.3).
    func retryAfter(now: Timestamp) -> Duration? {
        guard let text = header("Retry-After") else { return nil }
        if let seconds = Int(text) { return seconds < 0 ? nil : .seconds(min(seconds, 86_400)) }
        return Timestamp(fixdate: text).map { max(.zero, $0 - now) }
    }

    /// The beginning of the body, as text for an operator.
    var excerpt: String {
        let text = String(decoding: body.prefix(300), as: UTF8.self)
        return text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }
}
