package import Records

/// The operations of the Firehose API, and this server's own.
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
    case flushDeliveryStream = "FlushDeliveryStream"
    case tailDeliveryStream = "TailDeliveryStream"

    /// Whether AWS does not have it.
    private var isOwn: Bool { self == .flushDeliveryStream || self == .tailDeliveryStream }

    /// What stands before the names of AWS's operations in `X-Amz-Target`, and before our own.
    private static let targetPrefix = "Firehose_20150804."
    private static let ownTargetPrefix = "Hydrant_20261121."

    private static let byTarget = Dictionary(
        uniqueKeysWithValues: allCases.map { operation in
            ((operation.isOwn ? ownTargetPrefix : targetPrefix) + operation.rawValue, operation)
        }
    )
    private static let actions = Dictionary(
        uniqueKeysWithValues: allCases.map { operation in
            (operation, (operation.isOwn ? "hydrant:" : "firehose:") + operation.rawValue)
        }
    )

    /// Whether a target is one of this API, be the operation known or not.
    static func isTarget(_ target: String) -> Bool {
        [targetPrefix, ownTargetPrefix].contains { target.utf8.starts(with: $0.utf8) }
    }

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
    var action: String { Self.actions[self] ?? "" }

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
        case .flushDeliveryStream: .flushDeliveryStream
        case .tailDeliveryStream: .tailDeliveryStream
        case .putRecord, .putRecordBatch: .structure()  // `PutBodyScanner` knows theirs
        }
    }
}
