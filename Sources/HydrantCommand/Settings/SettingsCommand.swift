internal import ArgumentParser

/// `hydrant settings`.
struct Settings: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Lists the server's settings, and what they are called where."
    )

    @Flag(help: "As a table in Markdown, with defaults and what each does.")
    var markdown = false

    func run() throws {
        try StandardStreams.print(markdown ? SettingsTable.markdown : SettingsTable.text)
    }
}
