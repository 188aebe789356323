internal import Foundation
internal import JSON
internal import Platform
internal import Records

/// How endpoints are reached, beyond what a stream's configuration can say: a file of the server's.
package struct EndpointSettings: Sendable {
    /// A file that cannot be used, and why.
    package struct Failure: SettingMistake, CustomStringConvertible {
        package var description: String
    }

    /// Who we are at an endpoint.
    enum Access: Sendable, Hashable {
        case password(user: String, password: String)
        case apiKey(String)
        case signature(service: String, region: String)
    }

    /// What is set for some endpoints.
    struct Entry: Sendable {
        var endpoint: Glob
        var access: Access?
        var certificateAuthority: String?
        var isCompressed = false
        var maximumRequestBytes: Int?
        var timeoutSeconds: Int?
    }

    private var entries: [Entry] = []

    /// No settings.
    package init() {}

    /// Reads a file of the form `{"endpoints": [{"endpoint": "https://search*", ...}]}`.
    ///
    /// - Throws: `Failure`, which names the member.
    package init(path: String) throws(Failure) {
        do {
            let file = try JSONCursor.value(of: SecretFile.read(path))
            guard let list = file["endpoints"]?.array, file.object?.count == 1 else {
                throw Failure(description: "it must have the one member \"endpoints\", a list")
            }
            entries = try list.enumerated().map { try Self.entry($1, "endpoints.\($0)") }
        } catch {
            throw Failure(description: "the endpoint settings \(path) cannot be used: \(error)")
        }
    }

    /// The first entry whose pattern matches.
    func entry(for endpoint: EndpointURL) -> Entry? {
        entries.first { $0.endpoint.matches(endpoint.text) }
    }

    private static let members: Set<String> = [
        "endpoint", "username", "password", "apiKey", "sigV4", "certificateAuthority",
        "compression", "maximumRequestMegabytes", "timeoutSeconds",
    ]

    private static func entry(_ value: JSONValue, _ place: String) throws(Failure) -> Entry {
        guard let object = value.object else { throw Failure(description: "\(place) is no object") }
        if let unknown = object.keys.sorted().first(where: { !members.contains($0) }) {
            throw Failure(description: "\(place).\(unknown) is not known")
        }
        func text(_ name: String) throws(Failure) -> String? {
            guard let value = object[name] else { return nil }
            guard let text = value.string, !text.isEmpty else {
                throw Failure(description: "\(place).\(name) must be a text that is not empty")
            }
            return text
        }
        func number(_ name: String, _ range: ClosedRange<Int>) throws(Failure) -> Int? {
            guard let value = object[name] else { return nil }
            guard let number = value.integer, range.contains(number) else {
                throw Failure(
                    description: "\(place).\(name) must be \(range.lowerBound) to "
                        + "\(range.upperBound)"
                )
            }
            return number
        }
        guard let endpoint = try text("endpoint") else {
            throw Failure(description: "\(place).endpoint is missing")
        }
        var entry = Entry(endpoint: Glob(endpoint))
        entry.access = try access(object, place, text)
        entry.certificateAuthority = try text("certificateAuthority")
        if let path = entry.certificateAuthority, !Folder.exists(path) {
            throw Failure(description: "\(place).certificateAuthority: there is no file \(path)")
        }
        switch try text("compression") {
        case nil, "NONE": break
        case "GZIP": entry.isCompressed = true
        default: throw Failure(description: "\(place).compression must be GZIP or NONE")
        }
        entry.maximumRequestBytes = try number("maximumRequestMegabytes", 1...100)
            .map { $0 * 1_000_000 }
        entry.timeoutSeconds = try number("timeoutSeconds", 1...900)
        return entry
    }

    private static func access(
        _ object: [String: JSONValue],
        _ place: String,
        _ text: (String) throws(Failure) -> String?
    ) throws(Failure) -> Access? {
        let user = try text("username")
        let password = try text("password")
        guard (user == nil) == (password == nil) else {
            throw Failure(description: "\(place): username and password come together")
        }
        let key = try text("apiKey")
        let ways = [user != nil, key != nil, object["sigV4"] != nil]
        guard ways.count(where: { $0 }) <= 1 else {
            throw Failure(
                description: "\(place): username, apiKey and sigV4 exclude each other"
            )
        }
        if let user, let password { return .password(user: user, password: password) }
        if let key { return .apiKey(key) }
        guard let signature = object["sigV4"] else { return nil }
        let known: Set<String> = ["service", "region"]
        if let unknown = (signature.object ?? [:]).keys.sorted()
            .first(where: { !known.contains($0) })
        {
            throw Failure(description: "\(place).sigV4.\(unknown) is not known")
        }
        guard let service = signature["service"]?.string,
            let region = signature["region"]?.string, signature.object?.count == 2
        else { throw Failure(description: "\(place).sigV4 has a service and a region") }
        return .signature(service: service, region: region)
    }
}
