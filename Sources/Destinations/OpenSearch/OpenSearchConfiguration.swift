internal import Records

/// AmazonopensearchserviceDestinationConfiguration, and ElasticsearchDestinationConfiguration, which has
/// the same members (API model).
struct OpenSearchConfiguration: Sendable, Hashable {
    /// The cluster.
    var endpoint: EndpointURL
    /// What an index's name begins with.
    var index: String
    /// The type of documents; empty for none.
    var type: String
    /// How an index's name goes on.
    var rotation: IndexRotation
    /// Whether a document's id is its record's, which it keeps over all attempts.
    var hasIdentifiers: Bool
    /// How long what failed is tried again.
    var retryDuration: Duration

    private enum IdentifierFormat: String {
        case record = "FIREHOSE_DEFAULT"
        case none = "NO_DOCUMENT_ID"
    }

    /// Reads a configuration; one of a journal entry has only what concerns requests.
    ///
    /// - Throws: InvalidArgument, which names the member.
    init(_ configuration: DestinationConfiguration) throws(FirehoseError) {
        let members = ConfigurationMembers(configuration)
        guard let endpoint = EndpointURL(try members.text("ClusterEndpoint") ?? "") else {
            throw members.failure("ClusterEndpoint", "is not a valid URL")
        }
        self.endpoint = endpoint
        index = try members.required("IndexName")
        type = try members.text("TypeName") ?? ""
        rotation = try members.requiredChoice("IndexRotationPeriod")
        let format: IdentifierFormat? = try members.structure("DocumentIdOptions")?
            .choice("DefaultDocumentIdFormat")
        hasIdentifiers = format != IdentifierFormat.none
        retryDuration = try members.retryDuration
    }
}
