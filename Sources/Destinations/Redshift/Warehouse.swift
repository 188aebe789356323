internal import Foundation
package import JSON
package import Records

/// A warehouse and the table that is loaded there, as RedshiftDestinationConfiguration says.
package struct Warehouse: Sendable, Hashable {
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

    /// Reads a configuration.
    ///
    /// - Throws: InvalidArgument, which names the member.
    package init(_ members: JSONValue) throws(FirehoseError) {
        let name = DestinationKind.redshift.configurationMember
        func failure(_ member: String, _ reason: String) -> FirehoseError {
            FirehoseError(.invalidArgument, "\(name).\(member) \(reason)")
        }
        func checked<Value>(
            _ member: String,
            _ read: () throws(SQLText.Failure) -> Value
        ) throws(FirehoseError) -> Value {
            do throws(SQLText.Failure) {
                return try read()
            } catch {
                throw failure(member, error.reason)
            }
        }
        guard let address = Self.address(members["ClusterJDBCURL"]?.string ?? "") else {
            throw failure(
                "ClusterJDBCURL",
                "is not jdbc:redshift://HOST[:PORT]/DATABASE, or the same with postgresql, without "
                    + "parameters"
            )
        }
        (host, port, database) = address
        let command = members["CopyCommand"]
        let tables = try checked("CopyCommand.DataTableName") { () throws(SQLText.Failure) in
            try SQLText.names(
                command?["DataTableName"]?.string ?? "",
                maximumParts: Self.maximumNameParts
            )
        }
        guard tables.count == 1 else {
            throw failure("CopyCommand.DataTableName", "is more than one name")
        }
        table = tables[0]
        let list = command?["DataTableColumns"]?.string ?? ""
        columns =
            list.allSatisfy { $0 == " " }
            ? []
            : try checked("CopyCommand.DataTableColumns") { () throws(SQLText.Failure) in
                try SQLText.names(list, maximumParts: 1)
            }
        let options = command?["CopyOptions"]?.string ?? ""
        try checked("CopyCommand.CopyOptions") { () throws(SQLText.Failure) in
            try SQLText.checkOptions(options)
        }
        self.options = options.trimmingCharacters(in: .whitespaces)
        user = members["Username"]?.string ?? ""
        password = members["Password"]?.string ?? ""
        roleARN = members["RoleARN"]?.string ?? ""
        for (member, text) in [("Username", user), ("Password", password), ("RoleARN", roleARN)] {
            try checked(member) { () throws(SQLText.Failure) in try SQLText.check(text) }
        }
        retryDuration = .seconds(members["RetryOptions"]?["DurationInSeconds"]?.integer ?? 3600)
        let prefix = members["S3Configuration"]?["Prefix"]?.string ?? ""
        try checked("S3Configuration.Prefix") { () throws(SQLText.Failure) in
            try SQLText.check(prefix)
            if prefix.unicodeScalars.contains("\\") {
                throw SQLText.Failure(reason: "has a backslash")
            }
            if prefix.utf8.contains("!{".utf8) {
                throw SQLText.Failure(reason: "has an expression")
            }
        }
        guard (members["S3Configuration"]?["ErrorOutputPrefix"]?.string ?? "").isEmpty else {
            throw failure("S3Configuration.ErrorOutputPrefix", "is not taken for Redshift")
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
