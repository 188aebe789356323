internal import Foundation
package import JSON

/// What a stream does with records between its buffer and its destination (API model:
/// ProcessingConfiguration); whatever the order of its processors, they run in that of the members
/// here.
package struct Processing: Sendable, Hashable {
    /// Records are gzip, and are unpacked.
    package var decompresses = false
    /// CloudWatch Logs documents become their messages.
    package var extractsMessages = false
    /// Records hold several, which are taken apart.
    package var deaggregation: Deaggregation?
    /// A program transforms them.
    package var lambda: Lambda?
    /// A line feed goes between the records of an object.
    package var appendsDelimiter = false

    /// How a record holds several.
    package enum Deaggregation: Sendable, Hashable {
        /// JSON objects one behind the other.
        case json
        /// Pieces between delimiters.
        case delimited([UInt8])
    }

    /// A program under the contract of AWS Lambda.
    package struct Lambda: Sendable, Hashable {
        /// As configured: an ARN, or a bare name.
        package var arn: String
        /// The program's name.
        package var name: String
        /// Attempts after the first.
        package var numberOfRetries = Limits.defaultLambdaRetries
        /// Bytes of records' data for one invocation.
        package var bufferBytes = UInt64(Limits.defaultLambdaBufferMegabytes) * 1024 * 1024
        /// Seconds that the first record of an invocation waits at the most.
        package var bufferIntervalSeconds = Limits.defaultLambdaBufferIntervalSeconds

        /// A program; the rest is AWS's default.
        package init(arn: String, name: String) {
            self.arn = arn
            self.name = name
        }
    }

    /// No processing.
    package init() {}

    /// Whether records change, so that what they become must be kept before it is delivered.
    package var changesRecords: Bool {
        unpacksRecords || lambda != nil
    }

    /// Whether records are taken apart or unpacked before a program sees them, KPL aggregates aside.
    package var unpacksRecords: Bool { decompresses || deaggregation != nil }

    /// Reads a ProcessingConfiguration; nil where there is none that is enabled.
    ///
    /// The messages are AWS's own, as third parties who probed it report them.
    ///
    /// - Throws: InvalidArgument.
    package init?(_ configuration: JSONValue?) throws(FirehoseError) {
        guard let configuration, configuration["Enabled"]?.boolean ?? false else { return nil }
        let processors = configuration["Processors"]?.array ?? []
        guard (1...5).contains(processors.count) else {
            throw Self.refused(
                "A maximum of 5 and a minimum of 1 processor needs to be supplied when processing is "
                    + "enabled."
            )
        }
        for processor in processors { try add(processor) }
        if extractsSomething, !decompresses {
            throw Self.refused(
                "CloudWatchLogProcessingProcessor can only be enabled with DecompressionProcessor"
            )
        }
    }

    private var extractsSomething = false

    private static func refused(_ message: String) -> FirehoseError {
        FirehoseError(.invalidArgument, message)
    }

    private mutating func add(_ processor: JSONValue) throws(FirehoseError) {
        let parameters = try Self.parameters(of: processor)
        switch processor["Type"]?.string {
        case "Lambda":
            guard lambda == nil else {
                throw Self.refused("Cannot have more than 1 Lambda processor.")
            }
            lambda = try Lambda(parameters)
        case "Decompression":
            guard ["GZIP", nil].contains(parameters["CompressionFormat"]) else {
                throw Self.refused("CompressionFormat has to be GZIP")
            }
            decompresses = true
        case "CloudWatchLogProcessing":
            let value = parameters["DataMessageExtraction"]?.lowercased()
            guard value == "true" || value == "false" else {
                throw Self.refused(
                    "Invalid parameter value for DataMessageExtraction. Allowed values are True and "
                        + "False."
                )
            }
            extractsSomething = true
            extractsMessages = value == "true"
        case "RecordDeAggregation":
            deaggregation = try Self.deaggregation(parameters)
        case "AppendDelimiterToRecord":
            appendsDelimiter = true
        default:
            throw Self.refused("\(processor["Type"]?.string ?? "") is not supported")
        }
    }

    private static func parameters(
        of processor: JSONValue
    ) throws(FirehoseError) -> [String: String] {
        var parameters: [String: String] = [:]
        for parameter in processor["Parameters"]?.array ?? [] {
            guard let name = parameter["ParameterName"]?.string else { continue }
            guard parameters[name] == nil else {
                throw refused("Duplicate ProcessorParameter passed to ProcessingConfiguration.")
            }
            parameters[name] = parameter["ParameterValue"]?.string
        }
        return parameters
    }

    private static func deaggregation(
        _ parameters: [String: String]
    ) throws(FirehoseError) -> Deaggregation {
        switch parameters["SubRecordType"] {
        case "JSON":
            return .json
        case "DELIMITED":
            guard let text = parameters["Delimiter"] else {
                throw refused("Delimiter should be present for DELIMITED")
            }
            // Foundation takes some that nobody would write.
            guard let delimiter = Data(base64Encoded: text), !delimiter.isEmpty,
                delimiter.base64EncodedString() == text
            else {
                throw refused("Delimiter is not the base64 of at least one byte")
            }
            return .delimited([UInt8](delimiter))
        default:
            throw refused("SubRecordType has to be one of JSON, DELIMITED")
        }
    }

    fileprivate static func number<Number: LosslessStringConvertible & Comparable>(
        _ text: String?,
        in range: ClosedRange<Number>,
        _ message: String
    ) throws(FirehoseError) -> Number? {
        guard let text else { return nil }
        guard let number = Number(text), range.contains(number) else { throw refused(message) }
        return number
    }
}

extension Processing.Lambda {
    /// Reads a processor's parameters.
    fileprivate init(_ parameters: [String: String]) throws(FirehoseError) {
        guard let arn = parameters["LambdaArn"] else {
            throw FirehoseError(
                .invalidArgument,
                "LambdaArn is required when Lambda processor is used."
            )
        }
        // AWS Lambda allows no longer ones (API model, FunctionName and its ARNs).
        guard arn.utf8.count <= 512, let name = Self.name(in: arn) else {
            throw FirehoseError(.invalidArgument, "Invalid lambda ARN.")
        }
        self.init(arn: arn, name: name)
        let size = parameters["BufferSizeInMBs"]
        let interval = parameters["BufferIntervalInSeconds"]
        guard (size == nil) == (interval == nil) else {
            throw FirehoseError(
                .invalidArgument,
                "Both BufferSizeInMBs and BufferIntervalInSeconds are required to configure "
                    + "buffering for lambda processor."
            )
        }
        if let megabytes = try Processing.number(
            size,
            in: 0.2...3.0,
            "BufferSizeInMBs for lambda processor must be between 0.2 and 3."
        ) {
            bufferBytes = UInt64(megabytes * 1024 * 1024)
        }
        bufferIntervalSeconds =
            try Processing.number(
                interval,
                in: 0...Limits.maximumBufferIntervalSeconds,
                "BufferIntervalInSeconds for lambda processor must be between 0 and 900."
            ) ?? bufferIntervalSeconds
        numberOfRetries =
            try Processing.number(
                parameters["NumberOfRetries"],
                in: 0...300,
                "Number of retries for lambda must be between 0 and 300."
            ) ?? numberOfRetries
    }

    /// The function's name in `arn:PARTITION:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]`, or
    /// the text itself where it is no ARN.
    private static func name(in arn: String) -> String? {
        var name = Substring(arn)
        if arn.hasPrefix("arn:") {
            let parts = arn.split(separator: ":", omittingEmptySubsequences: false)
            guard (7...8).contains(parts.count), parts[2] == "lambda", parts[5] == "function" else {
                return nil
            }
            name = parts[6]
        }
        return isValidName(String(name)) ? String(name) : nil
    }

    /// Whether a text may name a program: one name in a folder, not hidden.
    package static func isValidName(_ name: String) -> Bool {
        guard (1...64).contains(name.utf8.count), !name.hasPrefix("."), !name.hasPrefix("-") else {
            return false
        }
        return name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"),
                UInt8(ascii: "."):
                true
            default: false
            }
        }
    }
}
