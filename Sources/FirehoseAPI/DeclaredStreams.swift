internal import Foundation
package import JSON
package import Logging
internal import Platform
package import Records

/// Streams that a server is to have, as documents in the shape of CreateDeliveryStream.
package struct DeclaredStreams: Sendable {
    /// A document that cannot be had, and why.
    package struct Failure: SettingMistake, CustomStringConvertible {
        /// For the operator.
        package var description: String
    }

    /// A document, and where it stands.
    private struct Declaration {
        var file: String
        var document: JSONValue
        var name: String
    }

    private let control: ControlPlane
    private let logger: Logger

    /// Declares streams of a registry; `isStrict` as for `FirehoseService`.
    package init(
        registry: any DeliveryStreamRegistry,
        time: any TimeSource,
        isStrict: Bool,
        logger: Logger
    ) {
        control = ControlPlane(registry: registry, time: time, isStrict: isStrict)
        self.logger = logger
    }

    /// Creates the streams that are missing and changes those that are otherwise than declared.
    ///
    /// All documents are read and checked before the first stream is touched.
    ///
    /// - Parameter path: A JSON file with a document or an array of them, or a folder of `*.json`.
    /// - Throws: `Failure` that names file, stream and member.
    package func apply(_ path: String) async throws(Failure) {
        var declarations: [Declaration] = []
        for file in try files(path) {
            for document in try documents(in: file) {
                declarations.append(try check(document, file))
            }
        }
        let names = declarations.map(\.name)
        if let name = names.first(where: { name in names.count { $0 == name } > 1 }) {
            throw Failure(description: "\(path): the stream \(name) is declared more than once")
        }
        for declaration in declarations {
            do {
                try await apply(declaration)
            } catch {
                throw Self.failure(declaration.file, declaration.name, error)
            }
        }
    }

    /// What `apply` would find at a path, document by document, without changing anything.
    ///
    /// - Returns: The stream of each document, or why it cannot be had.
    package func examine(_ path: String) -> [Result<DeliveryStream, Failure>] {
        var found: [Result<DeliveryStream, Failure>] = []
        var names: Set<String> = []
        do throws(Failure) {
            for file in try files(path) {
                do throws(Failure) {
                    for document in try documents(in: file) {
                        found.append(
                            Result { () throws(Failure) in
                                let stream = try examine(document, file)
                                guard names.insert(stream.name).inserted else {
                                    throw Failure(
                                        description: "\(path): the stream \(stream.name) is "
                                            + "declared more than once"
                                    )
                                }
                                return stream
                            }
                        )
                    }
                } catch {
                    found.append(.failure(error))
                }
            }
        } catch {
            found.append(.failure(error))
        }
        return found
    }

    /// Refuses a document with a member that CreateDeliveryStream does not have, which a server passes
    /// over.
    ///
    /// - Throws: `Failure` that names it.
    package static func checkMembers(of document: JSONValue) throws(Failure) {
        do throws(FirehoseError) {
            _ = try Shape.createDeliveryStream.decode(document, unknown: .refused)
        } catch {
            throw Failure(description: error.message)
        }
    }

    private func examine(
        _ document: JSONValue,
        _ file: String
    ) throws(Failure) -> DeliveryStream {
        let declaration = try check(document, file)
        do throws(FirehoseError) {
            let wanted = try control.stream(from: declaration.document)
            guard var current = try? control.registry.describe(wanted.name).stream,
                !current.isUnknown
            else { return wanted }
            // A change that the stream would not allow.
            try control.replaceDestination(of: &current, with: wanted.destination)
            return current
        } catch {
            throw Self.failure(file, declaration.name, error)
        }
    }

    private func files(_ path: String) throws(Failure) -> [String] {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw Failure(description: "the declared streams \(path) do not exist")
        }
        guard isFolder.boolValue else { return [path] }
        do {
            return try FileManager.default.contentsOfDirectory(atPath: path)
                .filter { $0.hasSuffix(".json") && !$0.hasPrefix(".") }
                .sorted()
                .map { path + "/" + $0 }
        } catch {
            throw Failure(description: "the folder \(path) cannot be read: \(error)")
        }
    }

    private func documents(in file: String) throws(Failure) -> [JSONValue] {
        guard let bytes = FileManager.default.contents(atPath: file) else {
            throw Failure(description: "the declared streams \(file) cannot be read")
        }
        do throws(JSONCursor.Failure) {
            let value = try JSONCursor.value(of: [UInt8](bytes))
            return value.array ?? [value]
        } catch {
            throw Failure(description: "\(file) is not valid JSON: \(error)")
        }
    }

    private func check(_ document: JSONValue, _ file: String) throws(Failure) -> Declaration {
        let name = document["DeliveryStreamName"]?.string ?? "without a name"
        do {
            let shape = Shape.createDeliveryStream
            let known = try shape.decode(document, unknown: .refused)
            try control.check(known, shape)
            try control.registry.check(try control.stream(from: known))
            return Declaration(file: file, document: known, name: name)
        } catch {
            throw Self.failure(file, name, error)
        }
    }

    private static func failure(_ file: String, _ name: String, _ error: FirehoseError) -> Failure {
        Failure(description: "\(file): the stream \(name) cannot be declared: \(error.message)")
    }

    private func apply(_ declaration: Declaration) async throws(FirehoseError) {
        let wanted = try control.stream(from: declaration.document)
        let name = wanted.name
        let registry = control.registry
        do {
            guard try registry.describe(name).failure == nil else {
                // It does not hold up the other declared streams.
                return logger.error(
                    "a declared stream is quarantined and was not changed",
                    metadata: ["stream": "\(name)", "file": "\(declaration.file)"]
                )
            }
        } catch {
            guard error.code == .resourceNotFound else { throw error }
            try await registry.create(wanted)
            return
        }
        try await registry.update(name) { stream throws(FirehoseError) in
            stream.tags = wanted.tags
            stream.throughputHintInMBs = wanted.throughputHintInMBs
            try control.replaceDestination(of: &stream, with: wanted.destination)
        }
        let current = try registry.describe(name).stream.encryption
        if let encryption = wanted.encryption, encryption != current {
            try await registry.startEncryption(name, encryption)
        } else if wanted.encryption == nil, current != nil {
            try await registry.stopEncryption(name)
        }
    }
}
