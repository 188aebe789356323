internal import Glibc
internal import JSON
internal import Platform
internal import Records

/// A transform's program, and how it is run.
package struct TransformProgram: Sendable, Hashable {
    /// How a program takes its invocations; `transforms/CONTRACT.md` says what each means.
    package enum Mode: String, Sendable, CaseIterable {
        /// A process for each invocation.
        case once
        /// A warm process, an event a line.
        case worker
        /// A warm process behind AWS's Lambda Runtime API.
        case lambda
    }

    /// Why a name stands for no program, for the operator.
    package struct Failure: Error, CustomStringConvertible {
        /// What is wrong.
        package var description: String
    }

    /// The transform's name.
    package var name: String
    /// How it is run.
    package var mode: Mode
    /// The executable's absolute path, then its arguments.
    package var command: [String]
    /// Its working directory.
    package var folder: String
    /// Invocations at one time.
    package var concurrency = 5
    /// How long an invocation may take.
    package var timeout: Duration = .seconds(300)
    /// Data memory of one process (MiB).
    package var memoryMiB = 512
    /// Open files of one process.
    package var openFiles = 256
    /// Invocations after which a warm process is replaced.
    package var recycleAfter = 10_000
    /// What it finds in its environment beside what it always does; nil passes on the server's own
    /// value.
    package var environment: [String: String?] = [:]
    /// The files that this was read from, as they were then.
    var files: [String: FileStamp] = [:]

    /// Whether those files are still the same.
    var isCurrent: Bool { files.allSatisfy { FileStamp($0.key) == $0.value } }

    init(name: String, mode: Mode, command: [String], folder: String) {
        self.name = name
        self.mode = mode
        self.command = command
        self.folder = folder
    }
}

/// What tells one state of a file from another.
struct FileStamp: Sendable, Hashable {
    var inode: UInt64
    var size: Int64
    var seconds: Int
    var nanoseconds: Int
    var mode: UInt32

    var isFile: Bool { mode & S_IFMT == S_IFREG }
    var isFolder: Bool { mode & S_IFMT == S_IFDIR }

    /// Nil where there is nothing.
    init?(_ path: String) {
        var information = stat()
        guard stat(path, &information) == 0 else { return nil }
        inode = UInt64(information.st_ino)
        size = Int64(information.st_size)
        seconds = information.st_mtim.tv_sec
        nanoseconds = information.st_mtim.tv_nsec
        mode = information.st_mode
    }
}

extension TransformProgram {
    /// The settings' file in a transform's folder.
    static let settingsFile = "transform.json"
    private static let maximumSettingsBytes: Int64 = 64 * 1024

    /// Finds `name` in the folder of all transforms.
    ///
    /// Blocks, shortly.
    init(_ name: String, in transforms: String) throws(Failure) {
        guard Processing.Lambda.isValidName(name) else {
            throw Failure(description: "\(name) is not a transform's name")
        }
        let path = transforms + "/" + name
        guard let stamp = FileStamp(path) else {
            let similar =
                (try? Folder.list(transforms).filter { $0.hasPrefix(name) }.sorted()) ?? []
            let hint = similar.first.map { " (is \($0) meant?)" } ?? ""
            throw Failure(description: "there is no transform \(name) in \(transforms)\(hint)")
        }
        guard stamp.isFolder else {
            self.init(
                name: name,
                mode: name.hasSuffix(".worker") ? .worker : .once,
                command: [path],
                folder: transforms
            )
            try requireExecutable(path)
            files = [path: stamp]
            return
        }
        let file = path + "/" + Self.settingsFile
        guard let settings = FileStamp(file), settings.isFile,
            settings.size <= Self.maximumSettingsBytes
        else {
            throw Failure(description: "\(path) has no \(Self.settingsFile) that can be read")
        }
        let json: JSONValue
        do {
            json = try JSONCursor.value(of: try Folder.readFile(file))
        } catch {
            throw Failure(description: "\(file) cannot be read: \(error)")
        }
        self.init(name: name, mode: .once, command: [], folder: path)
        try read(json, file)
        files = [file: settings]
        files[command[0]] = FileStamp(command[0])
    }

    private mutating func read(_ json: JSONValue, _ file: String) throws(Failure) {
        guard let members = json.object else {
            throw Failure(description: "\(file) is not a JSON object")
        }
        for (key, value) in members {
            let isValid: Bool
            switch key {
            case "command":
                command = value.array?.compactMap(\.string) ?? []
                isValid = !command.isEmpty && command.count == value.array?.count
            case "mode":
                let mode = value.string.flatMap(Mode.init(rawValue:))
                self.mode = mode ?? .once
                isValid = mode != nil
            case "concurrency": isValid = Self.set(&concurrency, value, 1...100)
            case "timeoutSeconds":
                var seconds = 0
                isValid = Self.set(&seconds, value, 1...900)
                timeout = .seconds(seconds)
            case "memoryMiB": isValid = Self.set(&memoryMiB, value, 16...65536)
            case "openFiles": isValid = Self.set(&openFiles, value, 16...65536)
            case "recycleAfter": isValid = Self.set(&recycleAfter, value, 1...1_000_000_000)
            case "environment": isValid = try setEnvironment(value, file)
            default: throw Failure(description: "\(file): \(key) is not a setting")
            }
            guard isValid else {
                throw Failure(description: "\(file): \(key) has a value that it cannot have")
            }
        }
        guard let program = command.first else {
            throw Failure(description: "\(file): command is missing")
        }
        command[0] = try executable(program, file)
    }

    private static func set(
        _ setting: inout Int,
        _ value: JSONValue,
        _ range: ClosedRange<Int>
    ) -> Bool {
        guard let number = value.integer, range.contains(number) else { return false }
        setting = number
        return true
    }

    private mutating func setEnvironment(_ value: JSONValue, _ file: String) throws(Failure) -> Bool
    {
        guard let members = value.object else { return false }
        for (name, value) in members {
            guard Self.isVariableName(name) else {
                throw Failure(
                    description:
                        "\(file): environment has \(name), a name that a shell does not pass on"
                )
            }
            switch value {
            case .null: environment[name] = .some(nil)
            case .string(let text) where !text.utf8.contains(0): environment[name] = text
            default: return false
            }
        }
        return true
    }

    /// Whether a shell passes a variable of that name on.
    private static func isVariableName(_ name: String) -> Bool {
        guard let first = name.utf8.first, !(0x30...0x39).contains(first),
            !["PWD", "OLDPWD", "SHLVL", "IFS", "PPID", "OPTIND", "_"].contains(name)
        else { return false }
        return name.utf8.allSatisfy { byte in
            byte == UInt8(ascii: "_") || (0x30...0x39).contains(byte)
                || (0x41...0x5a).contains(byte & ~0x20)
        }
    }

    /// A program's path: in the transform's folder where it has a slash, else where the server itself
    /// would find it.
    private func executable(_ program: String, _ file: String) throws(Failure) -> String {
        if program.utf8.contains(UInt8(ascii: "/")) {
            let path = program.hasPrefix("/") ? program : folder + "/" + program
            try requireExecutable(path)
            return path
        }
        for part in Self.searchPath.split(separator: ":") {
            let path = part + "/" + program
            if Self.isExecutable(String(path)) { return String(path) }
        }
        throw Failure(description: "\(file): command: there is no program \(program) in PATH")
    }

    private func requireExecutable(_ path: String) throws(Failure) {
        guard FileStamp(path) != nil else { throw Failure(description: "there is no \(path)") }
        guard Self.isExecutable(path) else {
            throw Failure(description: "\(path) is not executable")
        }
    }

    private static func isExecutable(_ path: String) -> Bool {
        FileStamp(path).map { !$0.isFolder } == true && access(path, X_OK) == 0
    }

    /// The server's PATH, or what the system looks through without one.
    static var searchPath: String { variable("PATH") ?? "/usr/local/bin:/usr/bin:/bin" }

    /// A variable of the server's own environment.
    static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}
