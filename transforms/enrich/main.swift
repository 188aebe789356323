// Adds to each JSON object the data centre that the host in it belongs to, by the table hosts.csv.
//
// Mode worker: each line of stdin is an event, each line of stdout answers one.

import Foundation

struct Event: Decodable {
    struct Record: Decodable {
        let recordId: String
        let data: String
    }

    let records: [Record]
}

/// An answer that is longer fails the whole batch.
let longestAnswer = 6_291_456

/// Writes a line to stderr, which is for the server's log.
func say(_ line: String) {
    FileHandle.standardError.write(Data("enrich: \(line)\n".utf8))
}

/// Says why the program cannot work, and ends it.
func fail(_ reason: String) -> Never {
    say(reason)
    exit(1)
}

/// A text as a string in JSON.
func quoted(_ text: String) -> String {
    var literal = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": literal += "\\\""
        case "\\": literal += "\\\\"
        case "\0"..<" ": literal += "\\u" + String(0x10000 + scalar.value, radix: 16).dropFirst()
        default: literal.unicodeScalars.append(scalar)
        }
    }
    return literal + "\""
}

/// The table's second column by its first, the second one as JSON.
///
/// The first line is a heading; a value in quotes may have commas in it.
func table(in text: String) -> [String: String] {
    var rows: [String: String] = [:]
    for line in text.split(whereSeparator: \.isNewline).dropFirst() {
        let fields = line.split(separator: ",", maxSplits: 1, omittingEmptySubsequences: false)
            .map { $0.trimmingCharacters(in: .whitespaces) }
        guard fields.count == 2 else { fail("a line of hosts.csv has no comma: \(line)") }
        var value = fields[1]
        if value.count > 1, value.hasPrefix("\""), value.hasSuffix("\"") {
            value = value.dropFirst().dropLast().replacingOccurrences(of: "\"\"", with: "\"")
        }
        rows[fields[0]] = quoted(value)
    }
    return rows
}

/// Adds one member to JSON objects.
struct Enricher {
    let field: String
    let table: [String: String]

    private static let space = Array(" \t\r\n".utf8)

    /// The object with its new member before the closing brace, every other byte as it was; nil if
    /// `data` is no JSON object.
    func enriched(_ data: Data) -> Data? {
        guard
            let opening = data.firstIndex(where: { !Self.space.contains($0) }),
            let closing = data.lastIndex(where: { !Self.space.contains($0) }),
            data[opening] == UInt8(ascii: "{"), data[closing] == UInt8(ascii: "}"),
            String(validating: data, as: UTF8.self) != nil, !Self.hasStrayComma(data),
            let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any]
        else { return nil }
        // Two members of one name would leave it to the reader which one counts.
        guard object["datacenter"] == nil else { return data }
        let value = (object[field] as? String).flatMap { table[$0] } ?? "null"
        let member = (object.isEmpty ? "" : ",") + "\"datacenter\":" + value
        return data[..<closing] + Data(member.utf8) + data[closing...]
    }

    /// The line that answers an event.
    func answer(to event: Event) -> String {
        var entries = event.records.map(entry)
        var excess = entries.reduce(#"{"records":[]}"#.utf8.count) { $0 + $1.utf8.count + 1 }
        excess -= longestAnswer
        if excess > 0 {
            say("the outputs are too long for one answer")
            let longestFirst = entries.indices.sorted {
                entries[$0].utf8.count > entries[$1].utf8.count
            }
            for index in longestFirst where excess > 0 {
                excess -= entries[index].utf8.count
                entries[index] = failure(event.records[index].recordId, data: "")
                excess += entries[index].utf8.count
            }
        }
        return #"{"records":["# + entries.joined(separator: ",") + "]}\n"
    }

    /// Whether a comma stands before a closing bracket, which JSONSerialization lets pass.
    private static func hasStrayComma(_ data: Data) -> Bool {
        var (isInString, isEscaped, isAfterComma) = (false, false, false)
        for byte in data {
            if isInString {
                isInString = isEscaped || byte != UInt8(ascii: "\"")
                isEscaped = !isEscaped && byte == UInt8(ascii: "\\")
            } else if !space.contains(byte) {
                if isAfterComma, byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]") {
                    return true
                }
                isAfterComma = byte == UInt8(ascii: ",")
                isInString = byte == UInt8(ascii: "\"")
            }
        }
        return false
    }

    private func entry(for record: Event.Record) -> String {
        guard let output = Data(base64Encoded: record.data).flatMap(enriched) else {
            return failure(record.recordId, data: record.data)
        }
        let data = output.base64EncodedString()
        return "{\"recordId\":\(quoted(record.recordId)),\"result\":\"Ok\",\"data\":\"\(data)\"}"
    }

    private func failure(_ id: String, data: String) -> String {
        let (id, data) = (quoted(id), quoted(data))
        return "{\"recordId\":\(id),\"result\":\"ProcessingFailed\",\"data\":\(data)}"
    }
}

guard let text = try? String(contentsOfFile: "hosts.csv", encoding: .utf8) else {
    fail("hosts.csv cannot be read")
}
let field = ProcessInfo.processInfo.environment["FIELD"] ?? "host"
let enricher = Enricher(field: field, table: table(in: text))
let decoder = JSONDecoder()
while let line = readLine() {
    guard let event = try? decoder.decode(Event.self, from: Data(line.utf8)) else {
        fail("a line of the input is no event")
    }
    FileHandle.standardOutput.write(Data(enricher.answer(to: event).utf8))
}
