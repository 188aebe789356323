internal import Foundation
internal import Records

/// What went wrong with COPY, by Firehose's codes (developer guide, "Amazon Redshift data delivery
/// errors").
struct CopyFailure: Error {
    /// Firehose's codes, without what they all begin with.
    enum Code: String {
        case accessDenied = "AccessDenied"
        case authenticationFailed = "AuthenticationFailed"
        case columnMismatch = "ColumnMismatch"
        case columnNotFound = "ColumnNotFound"
        case connectionFailed = "ConnectionFailed"
        case dataLoadFailed = "DataLoadFailed"
        case databaseNotFound = "DatabaseNotFound"
        case diskFull = "DiskFull"
        case incorrectCopyOptions = "IncorrectCopyOptions"
        case incorrectJSONPathsFile = "IncorrectJsonPathsFile"
        case incorrectOrMissingRegion = "IncorrectOrMissingRegion"
        case insufficientPrivilege = "InsufficientPrivilege"
        case internalError = "InternalError"
        case missingColumn = "MissingColumn"
        case missingS3File = "MissingS3File"
        case readOnlyCluster = "ReadOnlyCluster"
        case s3BucketAccessDenied = "S3BucketAccessDenied"
        case syntaxError = "SyntaxError"
        case tableNotFound = "TableNotFound"
    }

    var code: Code
    var message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// What a database says: by SQLSTATE (PostgreSQL documentation, "PostgreSQL Error Codes") where it
    /// tells enough.
    ///
    /// Else the message is read, and nowhere but here: Redshift has one SQLSTATE, XX000, for most of
    /// what COPY finds, the Data API gives the message alone, and so does psql where it cannot connect.
    init(state: String?, message: String) {
        let code = state.flatMap(Self.code(state:)) ?? Self.code(message: message)
        self.init(code ?? .internalError, message)
    }

    /// As it is told of a buffer.
    var failure: DeliveryFailure {
        DeliveryFailure(code: "Redshift.\(code.rawValue)", message: message)
    }

    private static func code(state: String) -> Code? {
        switch state {
        case "42P01", "3F000": .tableNotFound
        case "42703": .columnNotFound
        case "42601": .syntaxError
        case "42501": .insufficientPrivilege
        case "42804", "42846": .columnMismatch
        case "23502": .missingColumn
        case "25006": .readOnlyCluster
        case "53100": .diskFull
        case "3D000": .databaseNotFound
        case "28000", "28P01": .authenticationFailed
        case "53300", "57P01", "57P02", "57P03", "57014": .connectionFailed
        case _ where state.hasPrefix("08"): .connectionFailed
        case _ where state.hasPrefix("22"): .dataLoadFailed
        default: nil
        }
    }

    private static func code(message: String) -> Code? {
        var text = message.lowercased()[...]
        for level in ["error:", "fatal:"] where text.hasPrefix(level) {
            text = text.dropFirst(level.count).drop { $0 == " " }
        }
        // `Query #2 failed with ERROR: ...`
        if text.hasPrefix("query #"), let mark = text.range(of: "failed with ") {
            text = text[mark.upperBound...]
            if text.hasPrefix("error:") { text = text.dropFirst(6).drop { $0 == " " } }
        }
        return begins(text) ?? contains(text)
    }

    /// What a database names first is what is missing, whatever it is called.
    private static func begins(_ text: Substring) -> Code? {
        let starts: [(String, Code)] = [
            ("column \"", .columnNotFound), ("relation \"", .tableNotFound),
            ("schema \"", .tableNotFound), ("table \"", .tableNotFound),
            ("database \"", .databaseNotFound), ("role \"", .authenticationFailed),
            ("user \"", .authenticationFailed),
        ]
        if let found = starts.first(where: { text.hasPrefix($0.0) }),
            text.contains("does not exist")
        {
            return found.1
        }
        if text.hasPrefix("cannot copy into nonexistent table") { return .tableNotFound }
        if text.hasPrefix("syntax error") { return .syntaxError }
        if text.hasPrefix("permission denied") { return .insufficientPrivilege }
        return nil
    }

    private static func contains(_ text: Substring) -> Code? {
        func has(_ parts: String...) -> Bool { parts.contains { text.contains($0) } }
        if has("s3serviceexception", "s3 bucket", "s3 path", "s3 file", "s3 query") {
            if has("nosuchkey", "not found", "status 404", "does not exist") {
                return .missingS3File
            }
            if has("permanentredirect", "region") { return .incorrectOrMissingRegion }
            if has("accessdenied", "access denied", "status 403", "forbidden") {
                return .s3BucketAccessDenied
            }
        }
        if has("jsonpath") { return .incorrectJSONPathsFile }
        if has("assume iam role", "assume role", "accessdenied", "access denied") {
            return .accessDenied
        }
        if has("load into table", "stl_load_errors", "sys_load_error_detail") {
            return .dataLoadFailed
        }
        if has("authentication failed", "pg_hba.conf", "no password supplied") {
            return .authenticationFailed
        }
        // Behind what psql puts before what the server said.
        if has("does not exist") {
            if has("database \"") { return .databaseNotFound }
            if has("role \"") { return .authenticationFailed }
        }
        if has("permission denied") { return .insufficientPrivilege }
        if has("disk full", "no space left") { return .diskFull }
        if has("read-only", "read only") { return .readOnlyCluster }
        if has("syntax error") { return .syntaxError }
        if has("copy"), has("option") { return .incorrectCopyOptions }
        if has("could not connect", "connection", "could not translate host", "timeout expired") {
            return .connectionFailed
        }
        return nil
    }
}
