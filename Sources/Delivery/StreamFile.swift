internal import Foundation
internal import Platform
internal import Records

/// A stream's configuration on disk: `stream.json` in its folder, replaced as a whole.
///
/// Only its owner may read it, as passwords of destinations are in it.
enum StreamFile {
    /// A configuration that cannot be read, and why.
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    private struct Document: Codable {
        /// The format; this program writes and reads 2.
        var version: Int
        var stream: DeliveryStream
    }

    static func load(_ folder: String) throws -> DeliveryStream {
        let path = folder + "/stream.json"
        do {
            let document = try JSONDecoder().decode(
                Document.self,
                from: Data(try Folder.readFile(path))
            )
            guard document.version == 2 else {
                throw Failure(description: "it is of format \(document.version), not 2")
            }
            return document.stream
        } catch {
            throw Failure(description: "the configuration \(path) cannot be read: \(error)")
        }
    }

    static func store(_ stream: DeliveryStream, _ folder: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let bytes = try encoder.encode(Document(version: 2, stream: stream))
        try Folder.replaceFile(folder + "/stream.json", with: [UInt8](bytes), permissions: 0o600)
    }
}
