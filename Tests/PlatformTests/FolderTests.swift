import Platform
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
