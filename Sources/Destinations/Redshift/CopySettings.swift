internal import Foundation
internal import Platform
package import SigV4

/// How warehouses are loaded, for all streams of a server.
package struct CopySettings: Sendable {
    /// What runs COPY.
    package enum Executor: String, Sendable, CaseIterable {
        /// PostgreSQL's own client.
        case psql
        /// The Redshift Data API.
        case dataAPI = "data-api"
        /// Nothing: objects and manifests are written for others to load.
        case none
    }

    /// Whose rights COPY has at S3.
    package enum Rights: String, Sendable, CaseIterable {
        /// Those of the destination's role.
        case role
        /// Those of this server's own keys.
        case keys
    }

    /// What libpq makes of TLS (PostgreSQL documentation, "Protection Provided in Different Modes").
    package enum TLSMode: String, Sendable, CaseIterable {
        case disable
        case allow
        case prefer
        case require
        case verifyCA = "verify-ca"
        case verifyFull = "verify-full"
    }

    /// A setting that cannot be, and why.
    package struct Failure: SettingMistake, CustomStringConvertible {
        package var description: String
    }

    /// What runs COPY.
    package var executor = Executor.psql
    /// Whose rights COPY has at S3.
    package var rights = Rights.role
    /// This server's keys.
    package var credentials: Credentials?
    /// For clusters whose host does not tell theirs.
    package var region = "us-east-1"
    /// `psql`, by name or path.
    package var psql = "psql"
    /// What libpq makes of TLS.
    package var tlsMode = TLSMode.prefer
    /// The authorities that a server's certificate may be of.
    package var certificateAuthority: String?
    /// How long one COPY may take.
    package var timeout: Duration = .seconds(3600)
    /// How long the Data API may take to answer.
    package var requestTimeout: Duration = .seconds(30)
    /// Where the Data API is; nil for AWS's own.
    package var dataAPIEndpoint: String?
    /// A secret of AWS Secrets Manager with a user and a password, in place of DbUser.
    package var dataAPISecret: String?
    fileprivate(set) var template: String?
    fileprivate(set) var ledger: CopyLedger?

    /// The defaults.
    package init() {}

    /// The placeholders that a statement's template may have.
    private static let placeholders: Set<String> = [
        "copy", "copy_literal", "table", "columns", "manifest", "credentials", "options",
        "options_literal",
    ]

    /// Takes a statement in place of COPY.
    ///
    /// - Throws: `Failure` for a placeholder that there is not.
    package mutating func use(template: String) throws(Failure) {
        for part in template.split(separator: "{", omittingEmptySubsequences: false).dropFirst() {
            guard let end = part.firstIndex(of: "}") else { continue }
            let name = String(part[..<end])
            let isName = !name.isEmpty && name.allSatisfy { $0.isLetter || $0 == "_" }
            if isName, !Self.placeholders.contains(name) {
                throw Failure(
                    description: "the statement has a placeholder {\(name)}; there are "
                        + Self.placeholders.sorted().map { "{\($0)}" }.joined(separator: ", ")
                )
            }
        }
        self.template = template
    }

    /// Writes down in a table what was loaded.
    ///
    /// - Throws: `Failure` where the table's name is none.
    package mutating func use(ledger table: String, creates: Bool) throws(Failure) {
        do throws(SQLText.Failure) {
            let names = try SQLText.names(table, maximumParts: 3)
            guard names.count == 1 else { throw SQLText.Failure(reason: "is more than one name") }
            ledger = CopyLedger(table: SQLText.identifier(names[0]), creates: creates)
        } catch {
            throw Failure(description: "the ledger's name \(table) \(error.reason)")
        }
    }
}

/// A table of the manifests that were loaded, each written in the transaction of its COPY.
struct CopyLedger: Sendable {
    /// Its quoted name.
    var table: String
    /// Whether it is created where it is missing.
    var creates: Bool

    var creation: String {
        """
        CREATE TABLE IF NOT EXISTS \(table) (manifest varchar(1300) NOT NULL PRIMARY KEY, \
        stream varchar(64) NOT NULL, loaded timestamp NOT NULL)
        """
    }

    /// Keeps others out until the transaction is over: not every database keeps a key unique.
    var lock: String { "LOCK TABLE \(table)" }

    func search(_ manifest: String) -> String {
        "SELECT count(*) > 0 AS hydrant_loaded FROM \(table) WHERE manifest = "
            + SQLText.literal(manifest)
    }

    /// Fails where the manifest is there: for a transaction that cannot look and decide.
    func refusal(_ manifest: String) -> String {
        "SELECT 1 / (CASE WHEN count(*) > 0 THEN 0 ELSE 1 END) FROM \(table) WHERE manifest = "
            + SQLText.literal(manifest)
    }

    func insertion(_ manifest: String, stream: String) -> String {
        "INSERT INTO \(table) (manifest, stream, loaded) VALUES (\(SQLText.literal(manifest)), "
            + "\(SQLText.literal(stream)), CURRENT_TIMESTAMP)"
    }
}

extension CopySettings {
    /// These settings for statements that load nothing.
    var forAsking: CopySettings {
        var settings = self
        settings.ledger = nil
        settings.template = nil
        settings.timeout = min(timeout, .seconds(30))
        return settings
    }
}
