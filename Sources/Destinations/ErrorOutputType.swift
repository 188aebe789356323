package import Records

/// Why records are delivered to the error prefix instead of the destination: what
/// `!{firehose:error-output-type}` stands for (developer guide, "Understand custom prefixes").
package enum ErrorOutputType: String, Sendable, Codable, CaseIterable {
    /// Their transformation failed.
    case processingFailed = "processing-failed"
    /// They could not be unpacked.
    case decompressionFailed = "decompression-failed"
    /// OpenSearch did not take them.
    case openSearchFailed = "AmazonOpenSearchService-failed"
    /// The same, for a destination that is configured as Elasticsearch.
    case elasticsearchFailed = "elasticsearch-failed"
    /// The HTTP endpoint did not take them.
    case httpEndpointFailed = "http-endpoint-failed"
    /// Splunk did not take them.
    case splunkFailed = "splunk-failed"

    /// Those that records get before they are delivered.
    package static let ofProcessing: [ErrorOutputType] = [.processingFailed, .decompressionFailed]

    /// What records are delivered as that a kind of destination does not take; nil where all become an
    /// object.
    package init?(of kind: DestinationKind) {
        switch kind {
        case .elasticsearch: self = .elasticsearchFailed
        case .openSearch: self = .openSearchFailed
        case .httpEndpoint: self = .httpEndpointFailed
        case .splunk: self = .splunkFailed
        case .s3, .extendedS3, .redshift: return nil
        }
    }

    /// The folder where the prefix does not say otherwise.
    private var folder: String {
        switch self {
        case .processingFailed: "processing_failed"
        default: rawValue
        }
    }

    /// The prefix of such records' objects.
    ///
    /// Without expressions of its own, the error prefix (or else the prefix) gets the type's folder and
    /// the time, with no slash before them, as real AWS has been seen to do it.
    package func template(for destination: S3Destination) throws(FirehoseError) -> KeyTemplate {
        let given = destination.errorOutputPrefix ?? ""
        let template = try KeyTemplate(given, as: .errorOutputPrefix)
        if template.hasExpressions { return template }
        let base = given.isEmpty ? destination.prefix ?? "" : given
        return try KeyTemplate("\(base)\(folder)/", as: .prefix)
    }
}
