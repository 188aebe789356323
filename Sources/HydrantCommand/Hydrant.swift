internal import ArgumentParser
internal import Foundation

/// The command line.
struct Hydrant: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hydrant",
        abstract: "Amazon Data Firehose delivery streams on your own machines.",
        version: Version.current,
        subcommands: [
            Serve.self, Check.self, Put.self, Streams.self, Tail.self, Stats.self, Flush.self,
            Transform.self, Replay.self, Unseal.self, Settings.self,
        ]
    )
}

/// Which version this is.
enum Version {
    static let current = "0.7.0"
}

/// Where it all begins: puts the settings of environment and file in front of the command line's own.
package enum Program {
    /// The commands that take settings, by the words that call them.
    private static let configured: [([String], any AsyncParsableCommand.Type)] = [
        (["serve"], Serve.self), (["replay", "redshift"], Replay.Redshift.self),
    ]

    /// Runs the command that the process's arguments name, and exits where that fails.
    package static func main() async {
        let arguments = Array(CommandLine.arguments.dropFirst())
        for (words, command) in configured where arguments.starts(with: words) {
            let rest = Array(arguments.dropFirst(words.count))
            let isHelp = rest.contains { ["-h", "--help"].contains($0) }
            guard !isHelp, !rest.contains("--version") else {
                if isHelp, command == Serve.self { return printHelp() }
                break
            }
            return await run(words, command, rest)
        }
        await Hydrant.main(arguments)
    }

    private static func run(
        _ words: [String],
        _ command: any AsyncParsableCommand.Type,
        _ rest: [String]
    ) async {
        let layers: SettingsLayers
        do {
            layers = try await SettingsLayers(
                arguments: rest,
                environment: ProcessInfo.processInfo.environment,
                accepted: Set(Setting.all(of: command).map(\.option))
            )
        } catch {
            return fail("\(error)")
        }
        do {
            var parsed = try await Hydrant.asyncParseAsRoot(
                words + layers.values.flatMap(\.arguments) + rest
            )
            if var parsed = parsed as? any AsyncParsableCommand {
                try await parsed.run()
            } else {
                try parsed.run()
            }
        } catch {
            // What is not on the command line is called what it is there.
            let message = Hydrant.message(for: error)
            let sources = layers.values.filter { $0.setting.isNamed(in: message) }.map(\.source)
            // An option that there is not is the command line's; the message may guess at others.
            guard Hydrant.exitCode(for: error) == .validationFailure, !sources.isEmpty,
                !message.hasPrefix("Unknown option")
            else {
                Hydrant.exit(withError: error)
            }
            fail("\(sources.joined(separator: ", ")): \(message)")
        }
    }

    private static func printHelp() {
        let help = Hydrant.helpMessage(for: Serve.self)
        try? StandardStreams.print(help + "\n" + SettingsTable.help)  // nobody is left to be told
    }

    private static func fail(_ message: String) {
        StandardStreams.complain("Error: \(message)\n")
        exit(ExitCode.validationFailure.rawValue)
    }
}
