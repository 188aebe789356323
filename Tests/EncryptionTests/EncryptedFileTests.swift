import Foundation
import Platform
import TestSupport
import Testing

@testable import Encryption

@Suite struct EncryptedFileTests {
    private let folder = TemporaryFolder()
    private static let line = String(repeating: "ab", count: 32)

    @Test(arguments: [0, 1, 65535, 65536, 65537, 200_000])
    func `content comes back from any place on, and is nowhere in the file`(
        count: Int
    ) throws {
        var generator = SeededGenerator(seed: 7)
        let content = generator.bytes(count)
        let keys = try MasterKeys(lines: Self.line)
        let file = try File(folder("file"), .replace)
        var writer = EncryptedFile.Writer(file, keys)
        for start in stride(from: 0, to: count, by: 10_000) {
            try content[start..<min(count, start + 10_000)].withUnsafeBytes { try writer.write($0) }
        }
        let written = try writer.finish()
        #expect(try Self.read(written, from: 0) == content)
        let opened = try EncryptedFile(try File(folder("file"), .read), keys)
        #expect(opened.byteCount == UInt64(count))
        #expect(try Self.read(opened, from: UInt64(count / 2)) == Array(content[(count / 2)...]))
        let raw = Data(try Folder.readFile(folder("file")))
        if count > 64 { #expect(raw.range(of: Data(content[..<32])) == nil) }
    }

    @Test func `a byte that was changed, or an end that was cut, is found`() throws {
        let keys = try MasterKeys(lines: Self.line)
        let file = try File(folder("file"), .replace)
        var writer = EncryptedFile.Writer(file, keys)
        try [UInt8](repeating: 7, count: 150_000).withUnsafeBytes { try writer.write($0) }
        _ = try writer.finish()
        let whole = try Folder.readFile(folder("file"))
        for place in [20, 80, 4096, 80_000, whole.count - 1] {
            var bytes = whole
            bytes[place] ^= 1
            try Folder.replaceFile(folder("other"), with: bytes)
            #expect(throws: (any Error).self, "byte \(place)") {
                let opened = try EncryptedFile(try File(folder("other"), .read), keys)
                _ = try Self.read(opened, from: 0)
            }
        }
        // A header that says less, over a file that was cut at a chunk's end.
        var bytes = Array(whole[..<(4096 + 65536 + 16)])
        bytes.replaceSubrange(8..<16, with: [0, 0, 1, 0, 0, 0, 0, 0])
        try Folder.replaceFile(folder("other"), with: bytes)
        #expect(throws: EncryptedFile.Failure.self) {
            let opened = try EncryptedFile(try File(folder("other"), .read), keys)
            _ = try Self.read(opened, from: 0)
        }
    }

    @Test func `a length that was made zero is found`() throws {
        let keys = try MasterKeys(lines: Self.line)
        var writer = EncryptedFile.Writer(try File(folder("file"), .replace), keys)
        try [7, 8, 9].withUnsafeBytes { try writer.write($0) }
        _ = try writer.finish()
        var bytes = try Folder.readFile(folder("file"))
        bytes.replaceSubrange(8..<16, with: [UInt8](repeating: 0, count: 8))
        try Folder.replaceFile(folder("other"), with: bytes)
        #expect(throws: EncryptedFile.Failure.self) {
            try EncryptedFile(try File(folder("other"), .read), keys)
        }
    }

    @Test func `another master key does not open it, and is named`() throws {
        let keys = try MasterKeys(lines: Self.line)
        let other = try MasterKeys(lines: Data(repeating: 1, count: 32).base64EncodedString())
        let file = try File(folder("file"), .replace)
        _ = try EncryptedFile.Writer(file, keys).finish()
        #expect {
            _ = try EncryptedFile(file, other)
        } throws: { error in
            "\(error)".contains(keys.wrap(DataKey(), for: []).masterKeyName)
        }
        #expect(throws: EncryptedFile.Failure.self) {
            try EncryptedFile(try File(folder("empty"), .replace), keys)
        }
    }

    @Test(arguments: ["", "# only a comment", "abc", String(repeating: "zz", count: 32)])
    func `what holds no key of 32 bytes is refused`(text: String) {
        #expect(throws: MasterKeys.Failure.self) { try MasterKeys(lines: text) }
    }

    @Test func `all keys unwrap, the first wraps`() throws {
        let old = try MasterKeys(lines: Self.line)
        let both = try MasterKeys(
            lines: "# new\n\(Data(repeating: 9, count: 32).base64EncodedString())\n\n\(Self.line)\n"
        )
        let wrapped = old.wrap(DataKey(), for: [1])
        _ = try both.unwrap(wrapped, for: [1])
        #expect(!both.isCurrent(wrapped))
        #expect(throws: KeyFailure.damaged) { try both.unwrap(wrapped, for: [2]) }
        #expect(throws: KeyFailure.self) {
            try old.unwrap(both.wrap(DataKey(), for: [1]), for: [1])
        }
    }

    private static func read(_ source: some ByteSource, from start: UInt64) throws -> [UInt8] {
        var bytes: [UInt8] = []
        let space = UnsafeMutableRawBufferPointer.allocate(byteCount: 50_000, alignment: 16)
        defer { space.deallocate() }
        while true {
            let count = try source.read(into: space, at: start + UInt64(bytes.count))
            if count == 0 { return bytes }
            bytes += space[..<count]
        }
    }
}
