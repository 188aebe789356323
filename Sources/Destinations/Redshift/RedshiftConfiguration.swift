internal import Foundation
package import Records

/// A warehouse and the table that is loaded there: RedshiftDestinationConfiguration (API model).
package struct RedshiftConfiguration: Sendable, Hashable {
    /// Host name or address, without brackets.
    package var host: String
    /// TCP port.
    package var port: Int
    /// The database.
    package var database: String
    /// Who we are there; empty where nothing is said.
    package var user: String
    /// The user's password; empty where nothing is said.
    package var password: String
    /// The role whose rights COPY has at S3.
    package var roleARN: String
    /// The table, with its schema.
    var table: [String]
    /// Its columns in the order of the data; none for all.
    var columns: [[String]]
    /// The options of COPY, as they are.
    var options: String
    /// How long COPY is tried again.
    package var retryDuration: Duration

    /// Port of Redshift where the URL has none.
    private static let defaultPort = 5439
    private static let maximumNameParts = 3

    /// Reads a configuration; one of a journal entry has only what concerns COPY.
    ///
    /// - Throws: InvalidArgument, which names the member.
    package init(_ configuration: DestinationConfiguration) throws(FirehoseError) {
        let members = ConfigurationMembers(configuration)
        guard let address = Self.address(try members.text("ClusterJDBCURL") ?? "") else {
            throw members.failure(
                "ClusterJDBCURL",
                "is not jdbc:redshift://HOST[:PORT]/DATABASE, or the same with postgresql, without "
                    + "parameters"
            )
        }
        (host, port, database) = address
        let command = try members.requiredStructure("CopyCommand")
        let name = try command.text("DataTableName") ?? ""
        let tables = try command.checked("DataTableName") { () throws(SQLText.Failure) in
            try SQLText.names(name, maximumParts: Self.maximumNameParts)
        }
        guard tables.count == 1 else {
            throw command.failure("DataTableName", "is more than one name")
        }
        table = tables[0]
        let list = try command.text("DataTableColumns") ?? ""
        columns =
            list.allSatisfy { $0 == " " }
            ? []
            : try command.checked("DataTableColumns") { () throws(SQLText.Failure) in
                try SQLText.names(list, maximumParts: 1)
            }
        let options = try command.text("CopyOptions") ?? ""
        try command.checked("CopyOptions") { () throws(SQLText.Failure) in
            try SQLText.checkOptions(options)
        }
        self.options = options.trimmingCharacters(in: .whitespaces)
        user = try members.text("Username") ?? ""
        password = try members.text("Password") ?? ""
        roleARN = try members.text("RoleARN") ?? ""
        for (member, text) in [("Username", user), ("Password", password), ("RoleARN", roleARN)] {
            try members.checked(member) { () throws(SQLText.Failure) in try SQLText.check(text) }
        }
        retryDuration = try members.retryDuration
        if let bucket = try members.structure("S3Configuration") { try Self.check(bucket) }
    }

    private static func check(_ bucket: ConfigurationMembers) throws(FirehoseError) {
        let prefix = try bucket.text("Prefix") ?? ""
        try bucket.checked("Prefix") { () throws(SQLText.Failure) in
            try SQLText.check(prefix)
            if prefix.unicodeScalars.contains("\\") {
                throw SQLText.Failure(reason: "has a backslash")
            }
            if prefix.utf8.contains("!{".utf8) {
                throw SQLText.Failure(reason: "has an expression")
            }
        }
        guard (try bucket.text("ErrorOutputPrefix") ?? "").isEmpty else {
            throw bucket.failure("ErrorOutputPrefix", "is not taken for Redshift")
        }
    }

    private static func address(_ url: String) -> (host: String, port: Int, database: String)? {
        var rest = Substring(url)
        guard let scheme = ["jdbc:redshift://", "jdbc:postgresql://"].first(where: rest.hasPrefix)
        else { return nil }
        rest = rest.dropFirst(scheme.count)
        guard let slash = rest.firstIndex(of: "/") else { return nil }
        let text = rest[rest.index(after: slash)...]
        let isPlain = text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7f }
        guard !text.unicodeScalars.contains(where: { "?;&".unicodeScalars.contains($0) }), isPlain,
            let database = text.removingPercentEncoding, !database.isEmpty,
            database.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f })
        else { return nil }
        let authority = rest[..<slash]
        var host = authority
        var port = defaultPort
        let hasBrackets = authority.hasPrefix("[")
        let colon = authority.lastIndex(of: ":")
        if let colon, !hasBrackets || authority[..<colon].hasSuffix("]") {
            guard let number = Int(authority[authority.index(after: colon)...]),
                (1...65535).contains(number)
            else { return nil }
            port = number
            host = authority[..<colon]
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        let isName = host.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value < 0x7f }
        guard !host.isEmpty, isName,
            !host.unicodeScalars.contains(where: { "@,/='\\".unicodeScalars.contains($0) })
        else {
            return nil
        }
        return (String(host), port, database)
    }
}

extension ConfigurationMembers {
    /// What is read of a member, whose name goes into the error.
    fileprivate func checked<Value>(
        _ member: String,
        _ read: () throws(SQLText.Failure) -> Value
    ) throws(FirehoseError) -> Value {
        do throws(SQLText.Failure) {
            return try read()
        } catch {
            throw failure(member, error.reason)
        }
    }
}
