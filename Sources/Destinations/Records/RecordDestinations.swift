package import Egress
internal import JSON
package import Platform
package import Records
package import SigV4

/// Makes destinations that take records, out of their configuration.
package struct RecordDestinations: Sendable {
    /// What all of them have in common.
    struct Context: Sendable {
        var client: HTTPClient
        var time: any TimeSource
        /// For reading and encoding what is sent.
        var threads: WorkerThreads
        var credentials: Credentials?
    }

    private let context: Context
    private let settings: EndpointSettings
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
            credentials: credentials
        )
        self.settings = settings
        self.identity = identity
    }

    /// The destination that a stream's configuration describes.
    ///
    /// - Throws: InvalidArgument where its endpoint is no URL, or asks for credentials that there are
    ///   none of, or where there is no such destination.
    package func make(
        _ configuration: DestinationConfiguration,
        stream: String
    ) throws(FirehoseError) -> any RecordDestination {
        let members = configuration.members
        switch configuration.kind {
        case .elasticsearch, .openSearch:
            return try OpenSearchDestination(configuration, settings, context)
        case .httpEndpoint:
            return try HTTPEndpointDestination(
                members,
                streamARN: identity.arn(ofStream: stream),
                settings,
                context
            )
        case .splunk:
            return try SplunkDestination(members, settings, context)
        case .s3, .extendedS3, .redshift:
            throw FirehoseError(
                .invalidArgument,
                "\(configuration.kind.configurationMember) takes objects, not records"
            )
        }
    }
}

extension RecordDestinations.Context {
    /// Sends a request, and measures how long that takes.
    func send(
        _ request: HTTPRequest
    ) async throws(CancellationError) -> (Result<HTTPResponse, EgressError>, waited: Duration) {
        let start = time.now()
        do {
            let response = try await client.send(request)
            return (.success(response), time.now() - start)
        } catch let error as EgressError {
            return (.failure(error), time.now() - start)
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
