internal import Foundation
internal import JSON
internal import Records

/// The control plane: one call an operation, JSON in and JSON out.
struct ControlPlane: Sendable {
    let registry: any DeliveryStreamRegistry
    let time: any TimeSource
    /// Whether the model's own patterns are in force; see `Shape.Text.relaxedPattern`.
    let isStrict: Bool
    /// Nil where the server's own operations are not served.
    var streamOperator: (any StreamOperator)?

    /// Answers any operation but the puts.
    ///
    /// - Parameters:
    ///   - operation: Which.
    ///   - body: The request's JSON.
    ///   - authorize: Called with the stream's name, if the request has one, before anything is told
    ///     of that stream; throws where the caller may not do this.
    /// - Returns: The answer's JSON.
    /// - Throws: What AWS would answer.
    func answer(
        _ operation: Operation,
        _ body: [UInt8],
        authorize: (_ stream: String?) throws(FirehoseError) -> Void
    ) async throws(FirehoseError) -> [UInt8] {
        let request = try operation.input.decode(try Self.parse(body))
        let name = request["DeliveryStreamName"]?.string
        // A name that cannot be one is not repeated as a resource.
        if let name, !DeliveryStream.isValidName(name) { try check(request, operation.input) }
        try authorize(name)
        try check(request, operation.input)
        return try Self.encode(try await answer(operation, request))
    }

    private func answer(
        _ operation: Operation,
        _ request: JSONValue
    ) async throws(FirehoseError)
        -> JSONValue
    {
        let name = request["DeliveryStreamName"]?.string ?? ""
        switch operation {
        case .createDeliveryStream: return try await create(request)
        case .deleteDeliveryStream: try await registry.delete(name)
        case .describeDeliveryStream: return try describe(name)
        case .listDeliveryStreams: return list(request)
        case .listTagsForDeliveryStream: return try listTags(name, request)
        case .startDeliveryStreamEncryption: try await startEncryption(name, request)
        case .stopDeliveryStreamEncryption: try await registry.stopEncryption(name)
        case .tagDeliveryStream: try await tag(name, request)
        case .untagDeliveryStream: try await untag(name, request)
        case .updateDestination: try await updateDestination(name, request)
        case .flushDeliveryStream: return try flush(name, request)
        case .tailDeliveryStream: return try tail(name, request)
        case .putRecord, .putRecordBatch:
            throw FirehoseError(.internalFailure, "puts do not come this way")
        }
        return [:]
    }

    /// Holds a decoded value against its shape.
    func check(_ value: JSONValue, _ shape: Shape, at path: String = "") throws(FirehoseError) {
        var problems = ConstraintViolations()
        shape.check(value, at: path, isStrict: isStrict, &problems)
        try problems.check()
    }

    /// Reads JSON, an empty body as an empty object.
    private static func parse(_ body: [UInt8]) throws(FirehoseError) -> JSONValue {
        guard !body.isEmpty else { return [:] }
        do throws(JSONCursor.Failure) {
            return try JSONCursor.value(of: body)
        } catch {
            throw FirehoseError(.serialization, "The request body is not valid JSON: \(error).")
        }
    }

    private static func encode(_ answer: JSONValue) throws(FirehoseError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return [UInt8](try encoder.encode(answer))
        } catch {
            throw FirehoseError(.internalFailure, "The answer cannot be written: \(error)")
        }
    }
}
