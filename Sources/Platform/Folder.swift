internal import Glibc

/// What is done to names: list, rename, remove, and make such changes durable.
package enum Folder {
    /// Creates `path` and what is missing above it, durably.
    package static func create(_ path: String) throws(SystemError) {
        if exists(path) { return }
        guard let parent = parent(of: path) else {
            throw SystemError(.createFolder, path: path, code: ENOENT)
        }
        try create(parent)
        try SystemFaults.check(.createFolder, path)
        guard mkdir(path, 0o750) == 0 || errno == EEXIST else {
            throw .last(.createFolder, path)
        }
        try sync(parent)
    }

    /// The names in a folder, sorted, without `.` and `..`.
    package static func list(_ path: String) throws(SystemError) -> [String] {
        try SystemFaults.check(.list, path)
        guard let folder = opendir(path) else { throw .last(.list, path) }
        defer { closedir(folder) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(folder) else { break }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(
                    to: CChar.self,
                    capacity: MemoryLayout.size(ofValue: pointer.pointee)
                ) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        guard errno == 0 else { throw .last(.list, path) }
        return names.sorted()
    }

    /// Makes created, renamed and removed names in a folder durable.
    package static func sync(_ path: String) throws(SystemError) {
        try SystemFaults.check(.syncFolder, path)
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .last(.syncFolder, path) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw .last(.syncFolder, path) }
    }

    /// Renames within one file system, replacing a file of the new name.
    package static func rename(_ from: String, to path: String) throws(SystemError) {
        try SystemFaults.check(.rename, from)
        guard Glibc.rename(from, path) == 0 else { throw .last(.rename, from) }
    }

    /// Removes a file, or a folder with all that is in it; nothing to remove is no error.
    package static func remove(_ path: String) throws(SystemError) {
        try SystemFaults.check(.remove, path)
        if unlink(path) == 0 || errno == ENOENT { return }
        guard errno == EISDIR || errno == EPERM else { throw .last(.remove, path) }
        for name in try list(path) { try remove(path + "/" + name) }
        guard rmdir(path) == 0 || errno == ENOENT else { throw .last(.remove, path) }
    }

    /// True where something of that name exists.
    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Free bytes for this user on the file system that holds `path`; nil where it cannot be told.
    package static func freeBytes(at path: String) -> UInt64? {
        var information = statvfs()
        guard statvfs(path, &information) == 0 else { return nil }
        return UInt64(information.f_bavail) * UInt64(information.f_frsize)
    }

    /// Replaces the file `path` by `bytes`, so that after a crash either the old content is there
    /// or the new: temporary file, sync, rename, sync of the folder.
    package static func replaceFile(
        _ path: String,
        with bytes: [UInt8],
        permissions: UInt32 = File.defaultPermissions
    )
        throws(SystemError)
    {
        guard let folder = parent(of: path) else {
            throw SystemError(.open, path: path, code: EINVAL)
        }
        let temporary = path + ".new"
        let file = try File(temporary, .replace, permissions: permissions)
        try file.write(bytes, at: 0)
        try file.sync()
        try rename(temporary, to: path)
        try sync(folder)
    }

    /// The whole content of a file.
    package static func readFile(_ path: String) throws(SystemError) -> [UInt8] {
        let file = try File(path, .read)
        return try file.read(Int(clamping: try file.size()), at: 0)
    }

    /// The folder that holds `path`, or nil for a root.
    package static func parent(of path: String) -> String? {
        // By bytes: a slash with a combining mark is one character, and still a slash to the system.
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        if slash == path.startIndex { return path.utf8.count > 1 ? "/" : nil }
        return String(path[..<slash])
    }
}
