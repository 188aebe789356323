internal import Foundation
package import Records

/// The operations of the Firehose API that this server has.
package enum Operation: String, CaseIterable, Sendable {
    case createDeliveryStream = "CreateDeliveryStream"
    case deleteDeliveryStream = "DeleteDeliveryStream"
    case describeDeliveryStream = "DescribeDeliveryStream"
    case listDeliveryStreams = "ListDeliveryStreams"
    case putRecord = "PutRecord"
    case putRecordBatch = "PutRecordBatch"

    static let targetPrefix = "Firehose_20150804."

    /// Finds the operation that an `X-Amz-Target` header names.
    package init(target: String?) throws(FirehoseError) {
        guard let target, !target.isEmpty else {
            throw FirehoseError(.unknownOperation, "The request has no X-Amz-Target header.")
        }
        guard target.hasPrefix(Self.targetPrefix),
            let operation = Operation(
                rawValue: String(target.dropFirst(Self.targetPrefix.count))
            )
        else {
            throw FirehoseError(
                .unknownOperation,
                "The operation \(target) is not known to this server."
            )
        }
        self = operation
    }
}

/// The control plane: one call an operation, JSON in and JSON out.
struct ControlPlane: Sendable {
    let registry: any DeliveryStreamRegistry
    let time: any TimeSource

    /// Answers any operation but the puts.
    func answer(_ operation: Operation, _ body: [UInt8]) async throws(FirehoseError) -> [UInt8] {
        switch operation {
        case .createDeliveryStream: try encode(await create(try decode(body)))
        case .deleteDeliveryStream: try encode(await delete(try decode(body)))
        case .describeDeliveryStream: try encode(describe(try decode(body)))
        case .listDeliveryStreams: try encode(list(try decode(body)))
        case .putRecord, .putRecordBatch:
            throw FirehoseError(.internalFailure, "puts do not come this way")
        }
    }

    private func decode<Request: Decodable>(_ body: [UInt8]) throws(FirehoseError) -> Request {
        do {
            return try JSONDecoder().decode(Request.self, from: Data(body))
        } catch let error as DecodingError {
            throw FirehoseError(.serialization, Self.explain(error))
        } catch {
            throw FirehoseError(.serialization, "The request body cannot be read: \(error)")
        }
    }

    private func encode(_ answer: some Encodable) throws(FirehoseError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return [UInt8](try encoder.encode(answer))
        } catch {
            throw FirehoseError(.internalFailure, "The answer cannot be written: \(error)")
        }
    }

    private static func explain(_ error: DecodingError) -> String {
        switch error {
        case .typeMismatch(let type, let context):
            let path = context.codingPath.map(\.stringValue).joined(separator: ".")
            return "\(path) is not a \(type)."
        case .dataCorrupted, .keyNotFound, .valueNotFound:
            return "The request body is not valid JSON."
        @unknown default:
            return "The request body cannot be read."
        }
    }
}

/// The answer of operations that answer nothing.
struct EmptyAnswer: Encodable {}
