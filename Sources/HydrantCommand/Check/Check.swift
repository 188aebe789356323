internal import ArgumentParser
internal import Foundation

/// `hydrant check`.
struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Looks at all that is in a data folder, and says what cannot be read.",
        discussion: """
            Changes nothing. Reads every stream's configuration, journal, checkpoints and log to the \
            end, says what a bad place costs and what can be done, and ends with 1 where a stream \
            cannot be opened: a server puts it in quarantine. A stream whose log is damaged in places \
            is opened, and the rest of it delivered.
            """
    )

    @Option(help: "The server's data folder.")
    var dataDir = "./hydrant-data"

    func run() throws {
        let isGood = try Complaint.catching {
            try FolderCheck(folder: Place.absolute(dataDir)).run()
        }
        if !isGood { throw ExitCode.failure }
    }
}
