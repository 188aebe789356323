internal import JSON
internal import Platform
internal import Records
internal import SigV4

/// The file with the keys that requests are signed with, and what each may do.
struct CredentialsFile {
    /// A file that cannot be used, and why.
    struct Failure: SettingMistake, CustomStringConvertible {
        var description: String
    }

    var keys: [AccessKey] = []
    /// Who signs with each, in the order of `keys`.
    var callers: [Caller] = []

    private static let keyIDs = StrictObject.TextRule(
        length: 1...128,
        allows: { byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."),
                UInt8(ascii: "-"):
                true
            default: false
            }
        },
        allowed: "ASCII letters, digits, '_', '.' and '-'"
    )
    private static let secrets = StrictObject.TextRule(length: 1...1024)
    private static let tokens = StrictObject.TextRule(
        length: 1...4096,
        allows: { (UInt8(ascii: "!")...UInt8(ascii: "~")).contains($0) },
        allowed: "printable ASCII characters without blanks"
    )
    private static let moments = StrictObject.TextRule(length: 1...64)
    private static let patterns = StrictObject.TextRule(length: 1...128)

    /// Reads a file whose keys may be allowed some of `actions`.
    init(path: String, actions: [String]) throws(Failure) {
        do {
            let json = try JSONCursor.value(of: try SecretFile.read(path))
            let file = try StrictObject(json, members: ["keys"])
            for (key, place) in try file.items("keys", count: 1...10_000) {
                try add(key, at: place, actions)
            }
        } catch let error as JSONCursor.Failure {
            throw Failure(
                description: "the credentials file \(path) is not valid JSON: \(error)"
            )
        } catch let error as StrictObject.Mistake {
            throw Failure(description: "the credentials file \(path): \(error.message)")
        } catch {
            throw Failure(description: "the credentials file cannot be used: \(error)")
        }
    }

    private mutating func add(
        _ value: JSONValue,
        at place: String,
        _ actions: [String]
    ) throws(StrictObject.Mistake) {
        let key = try StrictObject(
            value,
            at: place,
            members: ["accessKeyId", "secretAccessKey", "sessionToken", "expires", "allow"]
        )
        let credentials = Credentials(
            accessKeyID: try key.text("accessKeyId", Self.keyIDs),
            secretAccessKey: try key.text("secretAccessKey", Self.secrets),
            sessionToken: try key.optionalText("sessionToken", Self.tokens)
        )
        let id = credentials.accessKeyID
        guard !callers.contains(where: { $0.accessKeyID == id }) else {
            throw StrictObject.Mistake("the key \(id) is there more than once")
        }
        var policy = AccessPolicy()
        for (value, place) in try key.items("allow", count: 1...100) {
            let rule = try StrictObject(value, at: place, members: ["actions", "streams"])
            let patterns = try rule.texts("actions", count: 1...100, Self.patterns)
                .map(ActionPattern.init)
            for pattern in patterns where !actions.contains(where: { pattern.matches($0) }) {
                throw StrictObject.Mistake(
                    "the key \(id) allows \(pattern.text), which matches no action of this server"
                )
            }
            let streams = try rule.texts("streams", count: 1...1000, Self.patterns)
            policy.allow(patterns, of: actions, streams: streams)
        }
        let expires = try key.optionalText("expires", Self.moments).map {
            text throws(StrictObject.Mistake) in
            try Self.moment(text, id)
        }
        keys.append(AccessKey(credentials: credentials, expires: expires))
        callers.append(Caller(accessKeyID: id, policy: policy))
    }

    private static func moment(
        _ text: String,
        _ id: String
    ) throws(StrictObject.Mistake) -> Timestamp {
        let marks: [Int: UInt8] = [
            4: UInt8(ascii: "-"), 7: UInt8(ascii: "-"), 10: UInt8(ascii: "T"),
            13: UInt8(ascii: ":"), 16: UInt8(ascii: ":"), 19: UInt8(ascii: "Z"),
        ]
        let bytes = Array(text.utf8)
        let basic = bytes.filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: ":") }
        guard bytes.count == 20, marks.allSatisfy({ bytes[$0] == $1 }),
            let moment = Timestamp(basicDateTime: String(decoding: basic, as: UTF8.self))
        else {
            throw StrictObject.Mistake(
                "the key \(id) expires at '\(text)', which is no time in UTC such as "
                    + "2030-01-31T12:00:00Z"
            )
        }
        return moment
    }
}
