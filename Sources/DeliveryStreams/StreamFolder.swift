internal import Delivery
internal import Platform
package import Records

/// What lies in one stream's folder, looked at and not changed.
package struct StreamFolder: Sendable {
    /// The stream's name.
    package var name: String
    /// The folder.
    package var path: String
    /// Why its configuration cannot be read; nil where it can be.
    package private(set) var configurationFailure: String?

    /// One way out of the stream: a log, its reader, and the journal of what that has in flight.
    package struct Way: Sendable {
        /// The reader's name.
        package var reader: String
        /// The journal's folder.
        package var journal: String

        /// What is wrong with the journal, where the reader goes on at `checkpoint`.
        ///
        /// Blocks.
        package func problems(checkpoint: LogMark?) -> [String] {
            Folder.exists(journal)
                ? FileJournal.problems(in: journal, checkpoint: checkpoint) : []
        }
    }

    /// Where its logs are, if it has them.
    package var logs: [String] { StreamDelivery.logs(of: path) }

    /// Its ways out, those of one log.
    package func ways(outOf log: String) -> [Way] {
        PipelineRole.allCases.filter { ($0 == .outcome) == (log == logs.last) }
            .map { Way(reader: $0.reader, journal: path + "/" + $0.journal) }
    }

    /// All of a data folder, in the order of their names.
    ///
    /// Blocks.
    package static func all(in dataFolder: String) throws -> [StreamFolder] {
        let streams = dataFolder + "/streams"
        guard Folder.exists(streams) else { return [] }
        return try Folder.list(streams).filter { $0.hasSuffix(DataFolder.streamSuffix) }
            .map { StreamFolder(streams + "/" + $0) }
    }

    private init(_ path: String) {
        self.path = path
        let file = path[path.index(after: path.lastIndex(of: "/") ?? path.startIndex)...]
        name = String(file.dropLast(DataFolder.streamSuffix.count))
        do {
            _ = try StreamFile.load(path, of: name)
        } catch {
            configurationFailure = "\(error)"
        }
    }
}
