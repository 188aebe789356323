internal import Foundation
internal import Platform
internal import Records

/// What a server needs of this machine.
struct LocalCheck {
    private let findings: Findings

    init(_ findings: Findings) { self.findings = findings }

    /// Whether a folder can be written, or made where it is missing; says what is wrong with it.
    func folder(_ path: String, _ subject: String) throws -> Bool {
        let manager = FileManager.default
        var isFolder: ObjCBool = false
        var nearest = URL(fileURLWithPath: path)
        while !manager.fileExists(atPath: nearest.path, isDirectory: &isFolder),
            nearest.path != "/"
        {
            nearest.deleteLastPathComponent()
        }
        let what = nearest.path == path ? "written" : "made"
        guard isFolder.boolValue else {
            try findings.say(
                .fail,
                subject,
                "\(path) cannot be \(what): \(nearest.path) is not a folder"
            )
            return false
        }
        guard access(nearest.path, R_OK | W_OK | X_OK) == 0 else {
            let reason = String(cString: strerror(errno))
            try findings.say(.fail, subject, "\(path) cannot be \(what): \(reason)")
            return false
        }
        return true
    }

    /// Looks at the data folder; gives whether a server has it.
    func dataFolder(_ path: String) throws -> Bool {
        let subject = "data folder"
        guard try folder(path, subject) else { return false }
        guard FileManager.default.fileExists(atPath: path) else {
            try findings.say(.ok, subject, "\(path) will be made")
            return false
        }
        let free = Folder.freeBytes(at: path)
        if let free, free < Limits.minimumFreeDiskBytes {
            try findings.say(.fail, subject, "the disk of \(path) is full: \(free) bytes are free")
        }
        if let process = owner(of: path) {
            try findings.say(
                .warn,
                subject,
                "\(path) is in use by process \(process): a second server would be refused"
            )
            return true
        }
        try findings.say(.ok, subject, "\(path) can be written")
        return false
    }

    /// The process of the server that has the folder.
    private func owner(of folder: String) -> String? {
        let path = folder + "/lock"
        guard Folder.exists(path) else { return nil }
        do throws(SystemError) {
            let lock = try File(path, .read)
            if try lock.tryLock() {
                lock.unlock()
                return nil
            }
            return String(decoding: try lock.read(32, at: 0), as: UTF8.self)
        } catch {
            return nil
        }
    }

    /// Whether the address can be listened on.
    func port(_ host: String, _ port: Int, isServed: Bool) throws {
        let subject = "address"
        guard let reason = refusal(host, port) else {
            return try findings.say(.ok, subject, "\(host) port \(port) is free")
        }
        // That is then most likely the one that is to be started anew.
        try findings.say(
            isServed ? .warn : .fail,
            subject,
            "\(host) port \(port): \(reason)"
                + (isServed ? "" : "; end what has it, or choose another with --port")
        )
    }

    private func refusal(_ host: String, _ port: Int) -> String? {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, "\(port)", &hints, &list)
        guard code == 0, let first = list else { return String(cString: gai_strerror(code)) }
        defer { freeaddrinfo(list) }
        let descriptor = socket(first.pointee.ai_family, first.pointee.ai_socktype, 0)
        guard descriptor >= 0 else { return String(cString: strerror(errno)) }
        defer { close(descriptor) }
        var one: Int32 = 1
        setsockopt(
            descriptor,
            SOL_SOCKET,
            SO_REUSEADDR,
            &one,
            socklen_t(MemoryLayout.size(ofValue: one))
        )
        guard bind(descriptor, first.pointee.ai_addr, first.pointee.ai_addrlen) == 0,
            listen(descriptor, 1) == 0
        else { return String(cString: strerror(errno)) }
        return nil
    }
}
