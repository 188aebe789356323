package import Records

/// The operations of the Firehose API.
package enum Operation: String, CaseIterable, Sendable {
    case createDeliveryStream = "CreateDeliveryStream"
    case deleteDeliveryStream = "DeleteDeliveryStream"
    case describeDeliveryStream = "DescribeDeliveryStream"
    case listDeliveryStreams = "ListDeliveryStreams"
    case listTagsForDeliveryStream = "ListTagsForDeliveryStream"
    case putRecord = "PutRecord"
    case putRecordBatch = "PutRecordBatch"
    case startDeliveryStreamEncryption = "StartDeliveryStreamEncryption"
    case stopDeliveryStreamEncryption = "StopDeliveryStreamEncryption"
    case tagDeliveryStream = "TagDeliveryStream"
    case untagDeliveryStream = "UntagDeliveryStream"
    case updateDestination = "UpdateDestination"

    static let targetPrefix = "Firehose_20150804."

    private static let byTarget = Dictionary(
        uniqueKeysWithValues: allCases.map { (targetPrefix + $0.rawValue, $0) }
    )

    /// Finds the operation that an `X-Amz-Target` header names.
    package init(target: String?) throws(FirehoseError) {
        guard let target, !target.isEmpty else {
            throw FirehoseError(.unknownOperation, "The request has no X-Amz-Target header.")
        }
        // Longer ones are none of these, and are not worth the hashing.
        let isShort = target.utf8.count <= 64
        guard isShort, let operation = Self.byTarget[target] else {
            throw FirehoseError(
                .unknownOperation,
                "The operation \(target.unicodeScalarPrefix(64)) is not known to this server."
            )
        }
        self = operation
    }

    /// Its name in policies.
    var action: String { "firehose:\(rawValue)" }

    /// What the operation takes.
    var input: Shape {
        switch self {
        case .createDeliveryStream: .createDeliveryStream
        case .deleteDeliveryStream: .deleteDeliveryStream
        case .describeDeliveryStream: .describeDeliveryStream
        case .listDeliveryStreams: .listDeliveryStreams
        case .listTagsForDeliveryStream: .listTagsForDeliveryStream
        case .startDeliveryStreamEncryption: .startDeliveryStreamEncryption
        case .stopDeliveryStreamEncryption: .stopDeliveryStreamEncryption
        case .tagDeliveryStream: .tagDeliveryStream
        case .untagDeliveryStream: .untagDeliveryStream
        case .updateDestination: .updateDestination
        case .putRecord, .putRecordBatch: .structure()  // `PutBodyScanner` knows theirs
        }
    }
}
