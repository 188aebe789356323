internal import Egress
internal import Foundation
internal import Platform
internal import Records

/// A store whose objects can be found and read as well, for tools that work on what was delivered.
package protocol BrowsableStore: ObjectStore {
    /// The keys under a prefix, in order.
    ///
    /// - Throws: `DeliveryFailure`; `CancellationError`.
    func keys(bucket: String, prefix: String) async throws -> [String]

    /// A small object's content.
    ///
    /// - Throws: `DeliveryFailure`; `CancellationError`.
    func content(bucket: String, key: String) async throws -> [UInt8]

    /// Removes an object; one that is not there is none to remove.
    ///
    /// - Throws: `DeliveryFailure`; `CancellationError`.
    func remove(bucket: String, key: String) async throws
}

extension S3ObjectStore: BrowsableStore {
    /// A page of keys has 1,000 of up to 3 KB, percent-encoded.
    private static let maximumPageBytes = 16 * 1024 * 1024

    /// Lists by `ListObjectsV2`.
    package func keys(bucket: String, prefix: String) async throws -> [String] {
        var keys: [String] = []
        var token: String?
        repeat {
            var query = [("list-type", "2"), ("prefix", prefix)]
            if let token { query.append(("continuation-token", token)) }
            let response = try await send("GET", bucket, "", query)
            let text = String(decoding: response.body, as: UTF8.self)
            keys += XMLText.values(of: "Key", in: text)
            let isTruncated = XMLText.values(of: "IsTruncated", in: text).first == "true"
            token = isTruncated ? XMLText.values(of: "NextContinuationToken", in: text).first : nil
        } while token != nil
        return keys.sorted()
    }

    /// Reads by `GetObject`.
    package func content(bucket: String, key: String) async throws -> [UInt8] {
        try await send("GET", bucket, key, []).body
    }

    /// Removes by `DeleteObject`.
    package func remove(bucket: String, key: String) async throws {
        _ = try await send("DELETE", bucket, key, [])
    }

    private func send(
        _ method: String,
        _ bucket: String,
        _ key: String,
        _ query: [(name: String, value: String)]
    ) async throws -> HTTPResponse {
        let request = request(method, bucket, key, query, limit: Self.maximumPageBytes)
        do {
            let response = try await client.send(request)
            guard (200..<300).contains(response.status) else {
                throw S3Failure.failure(of: response, bucket: bucket)
            }
            return response
        } catch let error as EgressError {
            throw DeliveryFailure(code: "S3.\(error.kind.rawValue)", message: error.message)
        }
    }
}

extension LocalBucketStore: BrowsableStore {
    /// Lists what is in folders.
    package func keys(bucket: String, prefix: String) async throws -> [String] {
        try await threads.run { [self] _ in
            let root = "\(folder)/\(Self.pathComponent(bucket))"
            let files = FileManager.default.enumerator(atPath: root)?.compactMap { $0 as? String }
            return (files ?? []).filter { name in
                var isFolder: ObjCBool = false
                let isThere = FileManager.default.fileExists(
                    atPath: "\(root)/\(name)",
                    isDirectory: &isFolder
                )
                return isThere && !isFolder.boolValue && name.hasPrefix(prefix)
            }.sorted()
        }
    }

    /// Reads a file.
    package func content(bucket: String, key: String) async throws -> [UInt8] {
        try await threads.run { [self] _ in
            try Folder.readFile("\(folder)/\(Self.path(bucket: bucket, key: key))")
        }
    }

    /// Removes a file.
    package func remove(bucket: String, key: String) async throws {
        try await threads.run { [self] _ in
            try Folder.remove("\(folder)/\(Self.path(bucket: bucket, key: key))")
        }
    }
}

/// Just as much XML as S3's answers need.
enum XMLText {
    private static let entities = [
        ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"),
        ("&#34;", "\""), ("&amp;", "&"),
    ]

    /// The texts of all elements of a name, without attributes or children.
    static func values(of name: String, in text: String) -> [String] {
        var values: [String] = []
        var rest = text[...]
        // By code points: a value may begin with a mark that combines.
        while let start = rest.range(of: "<\(name)>", options: .literal),
            let end = rest.range(
                of: "</\(name)>",
                options: .literal,
                range: start.upperBound..<rest.endIndex
            )
        {
            values.append(
                entities.reduce(String(rest[start.upperBound..<end.lowerBound])) { text, entity in
                    text.replacingOccurrences(of: entity.0, with: entity.1, options: .literal)
                }
            )
            rest = rest[end.upperBound...]
        }
        return values
    }
}
