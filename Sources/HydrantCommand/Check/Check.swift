internal import ArgumentParser
internal import Foundation

/// `hydrant check`.
struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Checks a data folder, and says what cannot be read and what can be done.",
        discussion: """
            Reads every stream's configuration, journal, checkpoints and log to the end, and changes \
            nothing. Ends with 1 if a stream cannot be opened, which a server would quarantine. A \
            stream whose log is damaged in places is opened, and the rest of it delivered.
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
