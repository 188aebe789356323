internal import ArgumentParser

/// The command line.
@main
struct Hydrant: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hydrant",
        abstract: "Amazon Data Firehose delivery streams on your own machines.",
        subcommands: [Serve.self, Put.self, Streams.self, Transform.self, Replay.self, Unseal.self]
    )
}
