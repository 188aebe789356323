internal import Records

/// SplunkDestinationConfiguration (API model).
struct SplunkConfiguration: Sendable, Hashable {
    /// What records are.
    enum EndpointType: String, Sendable {
        /// Text, which Splunk makes events of.
        case raw = "Raw"
        /// Events in JSON.
        case event = "Event"
    }

    /// The collector.
    var endpoint: EndpointURL
    /// What records are.
    var endpointType: EndpointType
    /// Who we are there.
    var token: String
    /// How long an acknowledgement is waited for.
    var acknowledgementTimeout: Duration
    /// How long what failed is tried again.
    var retryDuration: Duration

    /// Reads a configuration; one of a journal entry has only what concerns requests.
    ///
    /// - Throws: InvalidArgument, which names the member.
    init(_ configuration: DestinationConfiguration) throws(FirehoseError) {
        let members = ConfigurationMembers(configuration)
        guard let endpoint = EndpointURL(try members.text("HECEndpoint") ?? ""),
            endpoint.userInfo == nil
        else {
            throw members.failure("HECEndpoint", "is not a valid URL")
        }
        self.endpoint = endpoint
        endpointType = try members.requiredChoice("HECEndpointType")
        token = try members.text("HECToken") ?? ""
        acknowledgementTimeout = .seconds(try members.number("HECAcknowledgmentTimeoutInSeconds"))
        retryDuration = try members.retryDuration
    }
}
