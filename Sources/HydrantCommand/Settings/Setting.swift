internal import ArgumentParser
internal import Foundation

/// One setting of the server: an option of `hydrant serve` and what it is called elsewhere.
struct Setting: Sendable {
    /// What a value looks like.
    enum Kind: Sendable {
        case flag
        case value
        case list
    }

    /// The option's name, without its dashes.
    let option: String
    let kind: Kind
    /// The value of who says nothing; nil where that is another place or nothing.
    let defaultValue: String?
    /// What it does, in a sentence or two.
    let abstract: String

    /// The name's parts.
    var words: [String] { option.split(separator: "-").map(String.init) }

    /// The variable of the environment.
    var variable: String {
        Self.variablePrefix + option.uppercased().replacing("-", with: "_")
    }

    /// The member of the settings file.
    var member: String { Self.member(words) }

    /// Whether the variable holds something else than the option takes.
    var isElsewhere: Bool { option == "master-key" }

    static let variablePrefix = "HYDRANT_"

    /// What is on the command line alone.
    private static let commandOnly: Set = ["help", "version", "config", "check"]

    /// `["s3", "endpoint"]` as `s3Endpoint`.
    static func member(_ words: [String]) -> String {
        (words.first ?? "") + words.dropFirst().map(\.localizedCapitalized).joined()
    }

    /// All of them, in the order of the help text.
    static let all = all(of: Serve.self)

    /// Those that a command takes, read off the command itself, so that none is missing.
    static func all(of command: any ParsableCommand.Type) -> [Setting] {
        let text = Data(command._dumpHelp().utf8)
        guard let tool = try? JSONDecoder().decode(Tool.self, from: text) else {
            preconditionFailure("the command's own description is not as it was")
        }
        return (tool.command.arguments ?? []).compactMap { argument in
            guard let name = argument.preferredName?.name, !commandOnly.contains(name),
                argument.kind != "positional"
            else { return nil }
            return Setting(
                option: name,
                kind: argument.kind == "flag" ? .flag : argument.isRepeating ? .list : .value,
                defaultValue: argument.defaultValue,
                abstract: argument.abstract ?? ""
            )
        }
    }

    /// Whether a text speaks of the option.
    func isNamed(in text: String) -> Bool {
        text.ranges(of: "--" + option).contains { range in
            text[range.upperBound...].unicodeScalars.first
                .map { !$0.properties.isAlphabetic && $0 != "-" } ?? true
        }
    }

    /// What argument-parser tells of a command: the part that is needed here.
    private struct Tool: Decodable {
        struct Command: Decodable {
            var arguments: [Argument]?
        }
        struct Argument: Decodable {
            struct Name: Decodable {
                var name: String
            }
            var kind: String
            var isRepeating: Bool
            var preferredName: Name?
            var defaultValue: String?
            var abstract: String?
        }
        var command: Command
    }
}

/// All settings as a table.
enum SettingsTable {
    /// For a terminal.
    static var text: String {
        let rows = Setting.all.map { setting in
            (setting.option, setting.variable, setting.member)
        }
        let option = rows.map(\.0.count).max() ?? 0
        let variable = rows.map(\.1.count).max() ?? 0
        return rows.map { row in
            "  --" + row.0.padding(toLength: option + 2, withPad: " ", startingAt: 0)
                + row.1.padding(toLength: variable + 2, withPad: " ", startingAt: 0) + row.2
        }.joined(separator: "\n")
    }

    /// What `hydrant serve --help` says below its options.
    static var help: String {
        """
        SETTINGS:
          An option counts before its variable, and that before the member of the file of --config (or
          HYDRANT_CONFIG), a JSON object. Flags are true or false there, what may be repeated is an
          array, or has ';' or a new line between its values in the environment. HYDRANT_MASTER_KEY holds the key
          itself. Names that are not known are refused.

        \(text)

        """
    }

    /// For the README.
    static var markdown: String {
        var lines = [
            "| option | in the environment | in the file | default | what it does |",
            "|---|---|---|---|---|",
        ]
        for setting in Setting.all {
            var abstract = setting.abstract.replacing("|", with: "\\|")
            // What the help text has for a default, the table has a column for.
            var fallback = setting.defaultValue.map { "`\($0)`" } ?? ""
            if let range = abstract.range(of: " (default: "), abstract.hasSuffix(")") {
                fallback = String(abstract[range.upperBound...].dropLast())
                abstract = String(abstract[..<range.lowerBound])
            }
            if setting.kind == .flag { fallback = "off" }
            if setting.isElsewhere {
                fallback = "none"
                abstract += " The variable holds the key itself."
            }
            lines.append(
                "| `--\(setting.option)` | `\(setting.variable)` | `\(setting.member)` "
                    + "| \(fallback) | \(abstract) |"
            )
        }
        return lines.joined(separator: "\n")
    }
}
