package import Records

/// The configurations of streams, by name, where they outlive the server.
///
/// A change names the revision that it is based on: of two that are based on the same one the first counts,
/// whoever makes them.
package protocol StreamStore: Sendable {
    /// All that are stored. Blocks.
    ///
    /// - Throws: Where they cannot be listed, or a later version stored one.
    func load() throws -> [StoredStream]

    /// Whether a stream of that name is stored. Blocks.
    func contains(_ name: String) -> Bool

    /// Stores a stream durably in place of a revision; nil for one that is not stored yet. Blocks.
    ///
    /// - Throws: `StreamConflict` where something else is stored now.
    func put(_ stream: DeliveryStream, over revision: UInt64?) throws -> StreamDocument

    /// Removes a stream and all that is kept with its configuration. Blocks.
    ///
    /// - Throws: `StreamConflict` where something else is stored now. The stream may be gone whatever is
    ///   thrown, which `contains` tells.
    func remove(_ name: String, _ revision: UInt64) throws
}

/// A stream as it is stored.
package struct StreamDocument: Sendable, Hashable {
    /// The stream.
    package var stream: DeliveryStream
    /// Another one for each change, and only compared.
    ///
    /// It is not AWS's version of a stream, which does not tell of tags and encryption.
    package var revision: UInt64

    /// A stream of a revision.
    package init(stream: DeliveryStream, revision: UInt64) {
        self.stream = stream
        self.revision = revision
    }
}

/// What is stored under a name.
package struct StoredStream: Sendable {
    /// The stream; without members of a destination where it cannot be read.
    package var document: StreamDocument
    /// Why it cannot be read; nil where it can be.
    package var failure: String?

    /// A stream that can be read, unless something is in the way.
    package init(_ document: StreamDocument, failure: String? = nil) {
        self.document = document
        self.failure = failure
    }
}

/// A stream whose creation failed is stored all the same, and could not be removed again.
package struct StreamLeftBehind: Error, CustomStringConvertible {
    /// What is stored; it may hold secrets, and is not for logs.
    package var document: StreamDocument
    /// Why the creation failed.
    package var cause: String

    package var description: String {
        "the stream \(document.stream.name) could neither be created nor removed again: \(cause)"
    }
}

/// A change is based on a revision that is no longer stored.
package struct StreamConflict: Error, Hashable, CustomStringConvertible {
    /// The stream's name.
    package var name: String

    /// A conflict.
    package init(name: String) { self.name = name }

    package var description: String { "the stream \(name) was changed concurrently" }
}
