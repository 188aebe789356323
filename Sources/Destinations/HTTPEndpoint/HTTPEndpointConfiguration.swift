internal import Records

/// HttpEndpointDestinationConfiguration (API model).
struct HTTPEndpointConfiguration: Sendable, Hashable {
    /// A name and a value that go with each request.
    struct Attribute: Sendable, Hashable {
        var name: String
        var value: String
    }

    /// How a request's body is encoded.
    enum ContentEncoding: String, Sendable {
        case none = "NONE"
        case gzip = "GZIP"
    }

    /// The endpoint as it was given, with its query.
    var url: String
    /// The endpoint's parts.
    var endpoint: EndpointURL
    /// What the endpoint knows us by; nil for nothing.
    var accessKey: String?
    /// How a request's body is encoded.
    var contentEncoding: ContentEncoding
    /// What goes with each request.
    var commonAttributes: [Attribute]
    /// How long what failed is tried again.
    var retryDuration: Duration

    /// Reads a configuration; one of a journal entry has only what concerns requests.
    ///
    /// - Throws: InvalidArgument, which names the member.
    init(_ configuration: DestinationConfiguration) throws(FirehoseError) {
        let members = ConfigurationMembers(configuration)
        let endpointMembers = try members.requiredStructure("EndpointConfiguration")
        url = try endpointMembers.text("Url") ?? ""
        guard let endpoint = EndpointURL(url), endpoint.userInfo == nil else {
            throw endpointMembers.failure("Url", "is not a valid URL")
        }
        self.endpoint = endpoint
        let key = try endpointMembers.text("AccessKey") ?? ""
        accessKey = key.isEmpty ? nil : key
        let request = try members.requiredStructure("RequestConfiguration")
        contentEncoding = try request.requiredChoice("ContentEncoding")
        var attributes: [Attribute] = []
        for attribute in try request.structures("CommonAttributes") {
            attributes.append(
                Attribute(
                    name: try attribute.required("AttributeName"),
                    value: try attribute.required("AttributeValue")
                )
            )
        }
        commonAttributes = attributes
        retryDuration = try members.retryDuration
    }
}
