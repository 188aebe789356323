import Glibc
import Platform
import Synchronization
import TestSupport
import Testing

@Suite struct FolderTests {
    private let folder = TemporaryFolder()

    @Test func `a file is replaced as a whole and nothing is left beside it`() throws {
        try Folder.replaceFile(folder("a"), with: [1, 2, 3])
        try Folder.replaceFile(folder("a"), with: [4])
        #expect(try Folder.readFile(folder("a")) == [4])
        #expect(try Folder.list(folder.path) == ["a"])
    }

    @Test func `folders are created with what is above them and removed with what is in them`()
        throws
    {
        try Folder.create(folder("x/y/z"))
        try Folder.replaceFile(folder("x/y/z/f"), with: [])
        try Folder.remove(folder("x"))
        #expect(!Folder.exists(folder("x")))
        try Folder.remove(folder("x"))
    }

    @Test func `a failed call names itself, the path and the reason`() {
        #expect {
            try File(folder("missing"), .read)
        } throws: { error in
            "\(error)".contains("open failed on \(folder("missing"))")
                && (error as? SystemError)?.call == .open
        }
    }

    @Test func `a lock keeps others out until its file is closed`() throws {
        let second = try File(folder("lock"), .openOrCreate)
        do {
            let first = try File(folder("lock"), .openOrCreate)
            #expect(try first.tryLock())
            #expect(try !second.tryLock())
        }
        #expect(try second.tryLock())
    }
}

@Suite struct SalvageTests {
    @Test(arguments: [0, 1, 4096, 10_000], [0, 1, 4096, 20_000])
    func `a read that fails for once gives all that is there`(
        bytes: Int,
        offset: UInt64
    ) throws {
        let folder = TemporaryFolder()
        let content = (0..<bytes).map { UInt8(truncatingIfNeeded: $0) }
        try File(folder("file"), .replace).write(content, at: 0)
        let left = Atomic(1)
        let fault = SystemFaults.install(below: folder.path) { call, _, _ in
            call == .read && left.subtract(1, ordering: .relaxed).oldValue > 0 ? EIO : nil
        }
        defer { fault.remove() }
        let found = try File(folder("file"), .read).salvage(8192, at: offset)
        #expect(found.bytes == Array(content.dropFirst(Int(offset)).prefix(8192)))
        #expect(found.failure == nil)
    }

    @Test func `what cannot be read is zero, where something is`() throws {
        let folder = TemporaryFolder()
        try File(folder("empty"), .replace).write([UInt8](), at: 0)
        try File(folder("full"), .replace).write([UInt8](repeating: 7, count: 100), at: 0)
        let fault = SystemFaults.install(below: folder.path) { call, _, _ in
            call == .read ? EIO : nil
        }
        defer { fault.remove() }
        #expect(try File(folder("empty"), .read).salvage(100, at: 0).bytes.isEmpty)
        let full = try File(folder("full"), .read).salvage(200, at: 0)
        #expect(full.bytes == [UInt8](repeating: 0, count: 100))
        #expect(full.failure?.code == EIO)
    }
}
