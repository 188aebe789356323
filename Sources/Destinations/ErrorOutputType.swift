package import Records

/// Why records are delivered to the error prefix instead of the destination: what
/// `!{firehose:error-output-type}` stands for (developer guide, "Understand custom prefixes").
package enum ErrorOutputType: String, Sendable, Codable, CaseIterable {
    /// Their transformation failed.
    case processingFailed = "processing-failed"
    /// They could not be unpacked.
    case decompressionFailed = "decompression-failed"

    /// The folder where the prefix does not say otherwise.
    private var folder: String {
        switch self {
        case .processingFailed: "processing_failed"
        case .decompressionFailed: rawValue
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
