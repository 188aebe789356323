package import Records

/// Why records are delivered to the error prefix instead of the destination: what
/// `!{firehose:error-output-type}` stands for (developer guide, "Understand custom prefixes").
package struct ErrorOutputType: RawRepresentable, Sendable, Codable, Hashable, CaseIterable {
    /// AWS's name.
    package let rawValue: String

    /// Their transformation failed.
    package static let processingFailed = ErrorOutputType(named: "processing-failed")
    /// They could not be unpacked.
    package static let decompressionFailed = ErrorOutputType(named: "decompression-failed")

    /// Those that records get before they are delivered.
    package static let ofProcessing: [ErrorOutputType] = [.processingFailed, .decompressionFailed]

    /// Those of processing, and those of the destinations.
    package static let allCases =
        ofProcessing + DestinationType.all.compactMap { $0.errorOutputType }

    /// A type for the table of destinations.
    init(named name: String) { rawValue = name }

    /// The type of that name; nil where there is none.
    package init?(rawValue: String) {
        guard let known = Self.allCases.first(where: { $0.rawValue == rawValue }) else {
            return nil
        }
        self = known
    }

    /// What records are delivered as that a kind of destination does not take; nil where all become an
    /// object.
    package init?(of kind: DestinationKind) {
        guard let type = DestinationType.of(kind).errorOutputType else { return nil }
        self = type
    }

    /// The folder where the prefix does not say otherwise.
    private var folder: String {
        self == .processingFailed ? "processing_failed" : rawValue
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
