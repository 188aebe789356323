internal import Foundation
internal import Platform
internal import Records

/// A stream's configuration on disk: `stream.json` in its folder, replaced as a whole.
///
/// Only its owner may read it, as passwords of destinations are in it.
enum StreamFile {
    /// A configuration that cannot be read, and why.
    struct Failure: StoredFormatError, CustomStringConvertible {
        var description: String
        var isOfLaterVersion = false
    }

    private struct Version: Decodable {
        var version: Int
    }

    private struct Document: Codable {
        /// The format; this program writes 2, and reads 1 as well.
        var version: Int
        var stream: DeliveryStream
    }

    static func load(_ folder: String) throws -> DeliveryStream {
        let path = folder + "/stream.json"
        do {
            let bytes = try Folder.readFile(path)
            let decoder = JSONDecoder()
            switch try decoder.decode(Version.self, from: Data(bytes)).version {
            case 1: return try readFormat1(bytes)
            case 2: return try decoder.decode(Document.self, from: Data(bytes)).stream
            case let version:
                guard version > 2 else {
                    throw Failure(description: "format \(version) is not valid")
                }
                throw Failure(
                    description: "the configuration \(path) is of format \(version), later than 2: "
                        + "start the version of hydrant that wrote it",
                    isOfLaterVersion: true
                )
            }
        } catch let error as Failure where error.isOfLaterVersion {
            throw error
        } catch {
            throw Failure(description: "the configuration \(path) cannot be read: \(error)")
        }
    }

    /// The configuration in a stream's folder, whose name must be the stream's.
    static func load(_ folder: String, of name: String) throws -> DeliveryStream {
        let stream = try load(folder)
        guard stream.name == name else {
            throw Failure(
                description:
                    "the configuration in \(folder) is of the stream \(stream.name): rename "
                    + "the folder to \(stream.name)\(DataFolder.streamSuffix)"
            )
        }
        return stream
    }

    static func store(_ stream: DeliveryStream, _ folder: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let bytes = try encoder.encode(Document(version: 2, stream: stream))
        try write([UInt8](bytes), folder)
    }

    static func write(_ content: [UInt8], _ folder: String) throws(SystemError) {
        try Folder.replaceFile(folder + "/stream.json", with: content, permissions: 0o600)
    }

    static func content(_ folder: String) throws(SystemError) -> [UInt8] {
        try Folder.readFile(folder + "/stream.json")
    }
}
