internal import Configuration
internal import Foundation
internal import JSON
internal import Records
internal import SystemPackage

/// Settings of the environment and of a file, as options that stand before those of the command line.
struct SettingsLayers {
    /// A setting that is not from the command line.
    struct Value {
        var setting: Setting
        /// The options that it stands for.
        var arguments: [String]
        /// Where it is from, for the operator.
        var source: String
    }

    let values: [Value]

    /// Finds what the command line leaves open.
    ///
    /// - Parameters:
    ///   - arguments: Those of the command.
    ///   - environment: The process's.
    ///   - accepted: The names of the options that the command has.
    /// - Throws: `SettingsError` with the name of what is wrong.
    init(
        arguments: [String],
        environment: [String: String],
        accepted: Set<String>
    ) async throws {
        // An empty variable is none, as compose files make them.
        var environment = environment.filter { !$0.value.isEmpty }
        try Self.checkNames(environment, isPortGiven: Self.given("port", in: arguments) != nil)
        for setting in Setting.all where setting.kind == .list {
            guard let text = environment[setting.variable] else { continue }
            environment[setting.variable] = text.split(whereSeparator: { $0 == ";" || $0.isNewline }
            )
            .map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
            .joined(separator: ";")
        }
        let path =
            Self.given("config", in: arguments).flatMap(\.self)
            ?? environment["HYDRANT_CONFIG"]
        var providers: [(any ConfigProvider, (Setting) -> String)] = [
            (
                EnvironmentVariablesProvider(
                    environmentVariables: environment,
                    arraySeparator: ";"
                ).prefixKeys(with: "hydrant"),
                \.variable
            )
        ]
        if let path {
            try Self.checkMembers(path)
            let file = try await FileProvider<JSONSnapshot>(filePath: FilePath(path))
                .mapKeys { AbsoluteConfigKey([Setting.member($0.components)]) }
            providers.append((file, { "\(path): \($0.member)" }))
        }
        values = Setting.all.compactMap { setting in
            guard accepted.contains(setting.option),
                Self.given(setting.option, in: arguments) == nil
            else { return nil }
            for (index, (provider, name)) in providers.enumerated() {
                // The key itself is there, which its own reader takes.
                if index == 0, setting.isElsewhere {
                    if environment[setting.variable] != nil { return nil }
                    continue
                }
                let reader = ConfigReader(provider: provider)
                guard let arguments = Self.arguments(of: setting, reader) else { continue }
                return Value(setting: setting, arguments: arguments, source: name(setting))
            }
            return nil
        }
        try Self.checkFlags(environment, accepted)
    }

    /// The options that a value stands for; nil where there is no value.
    private static func arguments(of setting: Setting, _ reader: ConfigReader) -> [String]? {
        let key = ConfigKey(setting.words)
        let option = "--" + setting.option
        switch setting.kind {
        case .flag: return reader.bool(forKey: key).map { $0 ? [option] : [] }
        case .list:
            return reader.stringArray(forKey: key).map { $0.map { "\(option)=\($0)" } }
        case .value:
            let text =
                reader.string(forKey: key) ?? reader.int(forKey: key).map { "\($0)" }
                ?? reader.double(forKey: key).map { "\($0)" }
            return text.map { ["\(option)=\($0)"] }
        }
    }

    /// What the command line gives for an option: nil for nothing, and nothing for a flag.
    static func given(_ option: String, in arguments: [String]) -> String?? {
        let name = "--" + option
        var found: String??
        var rest = arguments.prefix { $0 != "--" }[...]
        while let argument = rest.popFirst() {
            if argument == name {
                found = .some(rest.first)
            } else if argument.hasPrefix(name + "=") {
                found = .some(String(argument.dropFirst(name.count + 1)))
            }
        }
        return found
    }

    // MARK: Names

    /// Whether a platform makes such a variable for services that are called hydrant, or hydrant-this.
    ///
    /// Kubernetes documentation, "Service", "Environment variables"; the form is Docker's links'.
    private static func isOfPlatform(_ name: String, _ value: String) -> Bool {
        if name.hasSuffix("_PORT"), value.contains("://") { return true }
        let end =
            #/
            HYDRANT_ ([A-Z0-9_]+_)?
            (SERVICE_HOST | SERVICE_PORT (_[A-Z0-9_]+)?
                | PORT_[0-9]+_(TCP|UDP|SCTP) (_(PROTO|PORT|ADDR))?)
            /#
        return name.wholeMatch(of: end) != nil
    }

    private static func checkNames(
        _ environment: [String: String],
        isPortGiven: Bool
    ) throws {
        let known = Setting.all.map(\.variable) + ["HYDRANT_CONFIG"]
        for name in environment.keys.sorted()
        where name.hasPrefix(Setting.variablePrefix) && !known.contains(name)
            && !isOfPlatform(name, environment[name] ?? "")
        {
            throw SettingsError(
                description: "\(name): no setting has this name\(hint(name, known)); "
                    + "`hydrant settings` lists them"
            )
        }
        if !isPortGiven, let port = environment["HYDRANT_PORT"], port.contains("://") {
            throw SettingsError(
                description: "HYDRANT_PORT: '\(port)' is not a port. Kubernetes makes such a "
                    + "variable for a service that is called hydrant: set enableServiceLinks: false "
                    + "in the pod, or give --port"
            )
        }
    }

    private static func checkFlags(
        _ environment: [String: String],
        _ accepted: Set<String>
    ) throws {
        let words = ["true", "false", "yes", "no", "1", "0"]
        for setting in Setting.all where setting.kind == .flag && accepted.contains(setting.option)
        {
            guard let text = environment[setting.variable],
                !words.contains(text.lowercased())
            else { continue }
            throw SettingsError(
                description: "\(setting.variable): '\(text)' is not true or false"
            )
        }
    }

    /// The file's members have names that are known, once, and values of the right kind.
    private static func checkMembers(_ path: String) throws {
        guard let bytes = FileManager.default.contents(atPath: path) else {
            throw SettingsError(description: "the settings file \(path) cannot be read")
        }
        let value: JSONValue
        do {
            value = try JSONCursor.value(of: [UInt8](bytes))
        } catch {
            throw SettingsError(description: "\(path) is not valid JSON: \(error)")
        }
        guard let members = value.object else {
            throw SettingsError(description: "\(path) is not a JSON object")
        }
        let settings = Setting.all
        for (name, value) in members.sorted(by: { $0.key < $1.key }) {
            guard let setting = settings.first(where: { $0.member == name }) else {
                let known = settings.map(\.member)
                throw SettingsError(
                    description: "\(path): \(name): no setting has this name\(hint(name, known)); "
                        + "`hydrant settings` lists them"
                )
            }
            if let wanted = setting.refusal(of: value) {
                throw SettingsError(description: "\(path): \(name): \(wanted)")
            }
        }
    }

    /// The known name that is nearest.
    private static func hint(_ name: String, _ known: [String]) -> String {
        let nearest = known.map { ($0, distance(name.lowercased(), $0.lowercased())) }
            .min { $0.1 < $1.1 }
        guard let nearest, nearest.1 <= max(2, name.count / 4) else { return "" }
        return " (is \(nearest.0) meant?)"
    }

    /// How many letters must be put in, left out or changed (Levenshtein).
    private static func distance(_ left: String, _ right: String) -> Int {
        let right = Array(right)
        var row = Array(0...right.count)
        for letter in left.prefix(200) {
            var diagonal = row[0]
            row[0] += 1
            for (index, other) in right.enumerated() {
                let changed = diagonal + (letter == other ? 0 : 1)
                diagonal = row[index + 1]
                row[index + 1] = min(changed, row[index] + 1, diagonal + 1)
            }
        }
        return row[right.count]
    }
}

extension Setting {
    /// What a value of the settings file should have been; nil where it is right.
    fileprivate func refusal(of value: JSONValue) -> String? {
        let texts = [value.string].compactMap(\.self) + (value.array ?? []).compactMap(\.string)
        guard !texts.contains(where: { $0.utf8.contains(0) }) else { return "it has a zero byte" }
        return switch (kind, value) {
        case (.flag, .boolean): nil
        case (.flag, _): "true or false is wanted"
        case (.list, .array(let items)) where items.allSatisfy { $0.string != nil }: nil
        case (.list, _): "an array of texts is wanted"
        case (.value, .string), (.value, .integer), (.value, .number): nil
        case (.value, _): "a text or a number is wanted"
        }
    }
}
