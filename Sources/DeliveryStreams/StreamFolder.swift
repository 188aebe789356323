internal import Delivery
internal import Platform
internal import Records

/// What lies in one stream's folder, looked at and not changed.
package struct StreamFolder: Sendable {
    /// The stream's name.
    package var name: String
    /// The folder.
    package var path: String
    /// Why its configuration cannot be read; nil where it can be.
    package private(set) var configurationFailure: String?
    /// What is wrong with its journals: an entry of a buffer that cannot be read, and where it is.
    package private(set) var journalFailures: [String] = []

    /// Where its logs are, if it has them.
    package var logs: [String] { StreamDelivery.logs(of: path) }

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
            let stream = try StreamFile.load(path)
            if stream.name != name {
                configurationFailure = "\(path) has the configuration of \(stream.name)"
            }
        } catch {
            configurationFailure = "\(error)"
        }
        for role in PipelineRole.allCases {
            let folder = path + "/" + role.journal
            guard Folder.exists(folder) else { continue }
            journalFailures += FileJournal.problems(in: folder)
        }
    }
}
