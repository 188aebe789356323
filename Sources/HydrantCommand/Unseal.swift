internal import ArgumentParser
internal import Encryption
internal import Foundation
internal import Platform

/// `hydrant unseal`.
struct Unseal: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Writes the content of a sealed object, one that was set aside, to standard output."
    )

    @Argument(help: "A file whose name ends in .sealed.")
    var file: String

    @OptionGroup
    var encryption: EncryptionOptions

    func run() throws {
        try Complaint.catching {
            guard let keys = try encryption.load() else { throw KeyFailure.noMasterKey }
            let encrypted = try EncryptedFile(try File(file, .read), keys)
            let space = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 16)
            defer { space.deallocate() }
            var place: UInt64 = 0
            while place < encrypted.byteCount {
                let count = try encrypted.read(into: space, at: place)
                guard count > 0 else { throw SystemError(.read, path: file, code: EIO) }
                try StandardStreams.output(Array(space.prefix(count)))
                place += UInt64(count)
            }
        }
    }
}

/// Errors as an operator can act on them: one line, not a dump of a value.
enum Complaint {
    /// Says what went wrong and ends with 1.
    static func catching<Value>(_ work: () throws -> Value) throws -> Value {
        do {
            return try work()
        } catch let code as ExitCode {
            throw code  // told before
        } catch let error as any CustomStringConvertible & Error {
            throw told(error)
        }
    }

    /// Says what went wrong and ends with 1.
    static func catching<Value>(_ work: () async throws -> Value) async throws -> Value {
        do {
            return try await work()
        } catch let code as ExitCode {
            throw code  // told before
        } catch let error as any CustomStringConvertible & Error {
            throw told(error)
        }
    }

    private static func told(_ error: any CustomStringConvertible & Error) -> ExitCode {
        // Whoever read what was printed has enough: as a program that SIGPIPE ends.
        if let error = error as? SystemError, error.code == EPIPE { return ExitCode(128 + SIGPIPE) }
        StandardStreams.complain("hydrant: \(error.description)\n")
        return ExitCode.failure
    }
}
