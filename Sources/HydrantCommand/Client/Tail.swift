internal import ArgumentParser
internal import Client
internal import Compression
internal import Foundation
internal import JSON
internal import Platform
internal import Records

/// `hydrant tail`.
struct Tail: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows records as they are put into a stream, until it is interrupted.",
        discussion: """
            Text is shown as it is, gzip unpacked, and what is no text as base64. It takes no record \
            away; where more come than can be shown, it says how many were left out. Keys need the \
            action hydrant:TailDeliveryStream.

            \(ClientOptions.environment)
            """
    )

    @Argument(help: "The stream's name.", completion: ClientOptions.streamNames)
    var stream: String

    @Flag(help: "Print a JSON object for each record.")
    var json = false

    @Flag(help: "Print the records' bytes alone, as they were put.")
    var raw = false

    @Option(help: "End after so many records.")
    var limit: Int?

    @OptionGroup
    var client: ClientOptions

    func validate() throws {
        guard !(json && raw) else { throw ValidationError("--json and --raw exclude each other") }
        guard (limit ?? 1) > 0 else { throw ValidationError("--limit is 1 or more") }
    }

    func run() async throws {
        try await client.withClient { client in
            var place: JSONValue?
            var shown = 0
            var isBroken = false
            while true {
                var input: JSONValue = ["DeliveryStreamName": .string(stream)]
                if let place { input["NextToken"] = place }
                let answer: JSONValue
                do {
                    answer = try await client.call("TailDeliveryStream", input, of: .hydrant)
                } catch let failure as FirehoseClient.Failure
                    where failure.isTransient && place != nil
                {
                    if !isBroken { StandardStreams.complain("hydrant: \(failure); waiting\n") }
                    isBroken = true
                    try await client.time.sleep(for: .seconds(1))
                    continue
                }
                isBroken = false
                if place == nil { StandardStreams.complain("hydrant: waiting for records\n") }
                place = answer["NextToken"]
                if let skipped = answer["RecordsSkipped"]?.integer, skipped > 0 {
                    StandardStreams.complain("hydrant: \(skipped) records were left out\n")
                }
                let records = answer["Records"]?.array ?? []
                for record in records {
                    try show(record)
                    shown += 1
                    if shown == limit { return }
                }
                if records.isEmpty { try await client.time.sleep(for: .milliseconds(200)) }
            }
        }
    }

    private func show(_ record: JSONValue) throws {
        let bytes = Array(Data(base64Encoded: record["Data"]?.string ?? "") ?? Data())
        if raw { return try StandardStreams.output(bytes) }
        let shown = ShownData(bytes)
        guard json else { return try StandardStreams.print(shown.line) }
        var members: [String: JSONValue] = [shown.isText ? "data" : "base64": .string(shown.text)]
        members["recordId"] = record["RecordId"]
        var seconds: Double?
        switch record["ApproximateArrivalTimestamp"] {
        case .number(let number): seconds = number
        case .integer(let number): seconds = Double(number)
        default: break
        }
        if let seconds {
            // In the middle of its millisecond, since the rest is cut off.
            let milliseconds = (seconds * 1000).rounded() + 0.5
            let date = Date(timeIntervalSince1970: milliseconds / 1000)
            members["arrival"] = .string(
                date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
            )
        }
        try StandardStreams.print(Self.plain(try Document.line(JSONValue.object(members))))
    }

    /// JSON of which a terminal obeys nothing: JSON's own rule is to escape no more than what is below
    /// U+0020.
    private static func plain(_ json: String) -> String {
        var result = ""
        for scalar in json.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator:
                for unit in String(scalar).utf16 {
                    result += "\\u" + Hexadecimal.text(UInt64(unit)).suffix(4)
                }
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

/// A record's data as a person reads it.
struct ShownData {
    let text: String
    let isText: Bool

    /// Bytes that gzip may unpack to, to be shown.
    private static let maximumBytes = 16 << 20

    init(_ bytes: [UInt8]) {
        var bytes = bytes
        if bytes.starts(with: [0x1f, 0x8b]) {
            let unpacked = bytes.withUnsafeBytes { bytes in
                try? Gunzip.unpack(bytes, maximumBytes: Self.maximumBytes)
            }
            bytes = unpacked ?? bytes
        }
        if let text = String(validating: bytes, as: UTF8.self) {
            self.text = text
            isText = true
        } else {
            text = Base64.text(bytes)
            isText = false
        }
    }

    /// One line, or several where the text has several; a terminal gets nothing that it would obey.
    var line: String {
        guard isText else { return "base64:" + text }
        // A line end of two characters is one of Swift's.
        let ends: Set<Character> = ["\n", "\r\n"]
        let body = text.last.map(ends.contains) == true ? String(text.dropLast()) : text
        guard isatty(STDOUT_FILENO) == 1 else { return body }
        return body.split(omittingEmptySubsequences: false, whereSeparator: ends.contains)
            .map { $0.split(separator: "\t", omittingEmptySubsequences: false) }
            .map { $0.map { LogText.line(String($0)) }.joined(separator: "\t") }
            .joined(separator: "\n")
    }
}
