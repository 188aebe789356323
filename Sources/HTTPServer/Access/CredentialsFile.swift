internal import Foundation
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
    /// In the order of `keys`.
    var policies: [AccessPolicy] = []

    private static let shape = Shape.structure(
        .required(
            "keys",
            .list(
                .structure(
                    .required("accessKeyId", .secret(1...128, #"[A-Za-z0-9_.\-]+"#)),
                    .required("secretAccessKey", .secret(1...1024)),
                    .optional("sessionToken", .secret(1...4096, "[!-~]+")),
                    .optional("expires", .text(1...64)),
                    .required(
                        "allow",
                        .list(
                            .structure(
                                .required("actions", .list(.text(1...128), count: 1...100)),
                                .required("streams", .list(.text(1...128), count: 1...1000))
                            ),
                            count: 1...100
                        )
                    )
                ),
                count: 1...10_000
            )
        )
    )

    init(path: String) throws(Failure) {
        do {
            let bytes = try SecretFile.read(path)
            let json = try JSONCursor.value(of: bytes)
            let content = try Self.shape.decode(json, unknown: .refused)
            var problems = ConstraintViolations()
            Self.shape.check(content, isStrict: true, &problems)
            try problems.check()
            for key in content["keys"]?.array ?? [] { try add(key) }
        } catch let error as JSONCursor.Failure {
            throw Failure(
                description: "the credentials file \(path) is not valid JSON: \(error)"
            )
        } catch let error as FirehoseError {
            throw Failure(description: "the credentials file \(path): \(error.message)")
        } catch {
            throw Failure(description: "the credentials file cannot be used: \(error)")
        }
    }

    private mutating func add(_ key: JSONValue) throws(FirehoseError) {
        let id = key["accessKeyId"]?.string ?? ""
        guard !keys.contains(where: { $0.credentials.accessKeyID == id }) else {
            throw FirehoseError(.validation, "the key \(id) is there more than once")
        }
        var policy = AccessPolicy()
        for rule in key["allow"]?.array ?? [] {
            let actions = (rule["actions"]?.array ?? []).compactMap(\.string)
            for action in actions where !Self.isKnown(action) {
                throw FirehoseError(
                    .validation,
                    "the key \(id) allows \(action), which matches no action of Firehose"
                )
            }
            let streams = (rule["streams"]?.array ?? []).compactMap(\.string)
            policy.allow(actions: actions, streams: streams)
        }
        let credentials = Credentials(
            accessKeyID: id,
            secretAccessKey: key["secretAccessKey"]?.string ?? "",
            sessionToken: key["sessionToken"]?.string
        )
        let expires = try key["expires"]?.string.map { text throws(FirehoseError) in
            try Self.moment(text, id)
        }
        keys.append(AccessKey(credentials: credentials, expires: expires))
        policies.append(policy)
    }

    private static func isKnown(_ action: String) -> Bool {
        let glob = Glob(action.lowercased())
        return Operation.allCases.contains { glob.matches($0.action.lowercased()) }
    }

    private static func moment(_ text: String, _ id: String) throws(FirehoseError) -> Timestamp {
        let marks: [Int: UInt8] = [
            4: UInt8(ascii: "-"), 7: UInt8(ascii: "-"), 10: UInt8(ascii: "T"),
            13: UInt8(ascii: ":"), 16: UInt8(ascii: ":"), 19: UInt8(ascii: "Z"),
        ]
        let bytes = Array(text.utf8)
        let basic = bytes.filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: ":") }
        guard bytes.count == 20, marks.allSatisfy({ bytes[$0] == $1 }),
            let moment = Timestamp(basicDateTime: String(decoding: basic, as: UTF8.self))
        else {
            throw FirehoseError(
                .validation,
                "the key \(id) expires at '\(text)', which is no time in UTC such as "
                    + "2030-01-31T12:00:00Z"
            )
        }
        return moment
    }
}
