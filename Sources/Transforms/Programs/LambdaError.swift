/// Why records could not be transformed, in AWS's words.
///
/// Source: developer guide, "Data transformation failure handling" and its list of Lambda errors; the
/// messages of the first four were seen in objects that AWS wrote.
package enum LambdaError: String, Sendable, Hashable, CaseIterable {
    case functionError = "Lambda.FunctionError"
    case processingFailedStatus = "Lambda.ProcessingFailedStatus"
    case missingRecordID = "Lambda.MissingRecordId"
    case duplicatedRecordID = "Lambda.DuplicatedRecordId"
    case jsonProcessing = "Lambda.JsonProcessingException"
    case invalidReturnFormat = "Lambda.InvalidReturnFormat"
    case resourceNotFound = "Lambda.ResourceNotFound"

    /// What AWS says of it.
    package var message: String {
        switch self {
        case .functionError:
            "The Lambda function was successfully invoked but it returned an error result."
        case .processingFailedStatus:
            "ProcessingFailed status set for record"
        case .missingRecordID:
            "One or more record Ids were not returned. Ensure that the Lambda function returns all "
                + "received record Ids."
        case .duplicatedRecordID:
            "Multiple records were returned with the same record Id. Ensure that the Lambda function "
                + "returns a unique record Id for each record."
        case .jsonProcessing:
            "There was an error parsing returned records from the Lambda function. Ensure that the "
                + "returned records follow the status model required by Firehose."
        case .invalidReturnFormat:
            "The data field cannot be null when the SourceType is DirectPut or "
                + "KinesisStreamAsSource and processing result is Ok. The value field cannot be null when "
                + "the SourceType is MSKAsSource and processing result is Ok."
        case .resourceNotFound:
            "The specified Lambda function does not exist. Use a different function that does exist."
        }
    }
}

/// An invocation that gave no response that can be read: it may be tried again.
package struct InvocationFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// What AWS calls it.
    package var code: LambdaError
    /// What happened, for the operator.
    package var reason: String
    /// Whether the process that it happened to is not to be used again.
    package var endsProcess: Bool
    /// Whether the process got anything of the event.
    package var hasBegun: Bool
    /// Whether it is this server that has too little of something: it says nothing of the program, and
    /// counts as no attempt.
    package var isShortage = false

    /// A failure.
    package init(
        _ code: LambdaError = .functionError,
        _ reason: String,
        endsProcess: Bool = true,
        hasBegun: Bool = true
    ) {
        self.code = code
        self.reason = reason
        self.endsProcess = endsProcess
        self.hasBegun = hasBegun
    }

    package var description: String { "\(code.rawValue): \(reason)" }
}
