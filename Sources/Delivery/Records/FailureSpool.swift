package import Destinations
internal import Encryption
internal import Records
internal import Synchronization

/// Gathers a buffer's failed records in a file without a name, in the order of their numbers.
///
/// Used by one thread at a time, which its owner sees to.
package final class FailureSpool: Sendable {
    /// What was gathered.
    package struct Content: Sendable {
        /// The list.
        package var object: SpooledObject
    }

    /// The end of the file could not be written: what is in it has to be gathered again.
    struct Lost: Error, CustomStringConvertible {
        var description: String { "the end of a list of failed records could not be written" }
    }

    /// Pieces fit into a chunk of an encrypted file without a rest: so a write that fails has written
    /// nothing, and can be made again.
    private static let pieceBytes = EncryptedFile.chunkBytes / 2

    private struct State: ~Copyable {
        var writer: SpoolWriter?
        var waiting: [UInt8] = []
        var last: RecordNumber?
    }
    private let state: Mutex<State>

    /// An empty list, in a file of the spooler.
    init(_ spooler: Spooler, name: String, isEncrypted: Bool) throws {
        let writer = try spooler.spoolWriter(name: name, isEncrypted: isEncrypted)
        state = Mutex(State(writer: writer))
    }

    /// Adds records; those of an earlier call that failed half way are not added twice.
    ///
    /// Blocks.
    func add(_ records: [FailedRecord]) throws {
        try state.withLock { state in
            for record in records where state.last.map({ record.number > $0 }) ?? true {
                record.write(to: &state.waiting)
                state.last = record.number
                while state.waiting.count >= Self.pieceBytes {
                    try state.waiting.withUnsafeBytes { bytes in
                        try state.writer?.write(
                            UnsafeRawBufferPointer(rebasing: bytes[..<Self.pieceBytes])
                        )
                    }
                    state.waiting.removeFirst(Self.pieceBytes)
                }
            }
        }
    }

    /// The list; nothing may be added after.
    ///
    /// Blocks.
    ///
    /// - Throws: `Lost` where it was called before.
    func finish() throws -> Content {
        try state.withLock { state in
            guard var writer = state.writer.take() else { throw Lost() }
            try state.waiting.withUnsafeBytes { try writer.write($0) }
            return Content(object: try writer.finish())
        }
    }
}
