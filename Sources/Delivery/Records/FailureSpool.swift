internal import Destinations
internal import Encryption
internal import Records
internal import Synchronization

/// Gathers a buffer's failed records in a file without a name, part by part.
package final class FailureSpool: Sendable {
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
        /// How many records of a call that failed are added.
        var added = 0
    }
    private let state: Mutex<State>

    /// An empty list, in a file of the spooler.
    init(_ spooler: Spooler, name: String, isEncrypted: Bool) throws {
        let writer = try spooler.spoolWriter(name: name, isEncrypted: isEncrypted)
        state = Mutex(State(writer: writer))
    }

    /// Adds records; called again with the same after a failure, it adds none twice.
    ///
    /// Blocks.
    func add(_ records: [FailedRecord]) throws {
        try state.withLock { state in
            for record in records[state.added...] {
                record.write(to: &state.waiting)
                state.added += 1
                try Self.writePieces(&state)
            }
            try Self.writePieces(&state)
            state.added = 0
        }
    }

    private static func writePieces(_ state: inout State) throws {
        while state.waiting.count >= pieceBytes {
            try state.waiting.withUnsafeBytes { bytes in
                try state.writer?.write(UnsafeRawBufferPointer(rebasing: bytes[..<pieceBytes]))
            }
            state.waiting.removeFirst(pieceBytes)
        }
    }

    /// The list; nothing may be added after.
    ///
    /// Blocks.
    ///
    /// - Throws: `Lost` where it was called before.
    func finish() throws -> SpooledObject {
        try state.withLock { state in
            guard var writer = state.writer.take() else { throw Lost() }
            try state.waiting.withUnsafeBytes { try writer.write($0) }
            return try writer.finish()
        }
    }
}
