internal import Foundation
internal import Records

/// What went wrong with COPY, by Firehose's codes (developer guide, "Amazon Redshift data delivery
/// errors").
enum CopyFailure {
    /// By SQLSTATE (PostgreSQL documentation, "PostgreSQL Error Codes") where it tells enough, else by
    /// the message.
    static func failure(state: String?, message: String) -> DeliveryFailure {
        let code = state.flatMap(code(state:)) ?? code(message: message) ?? "InternalError"
        return DeliveryFailure(code: "Redshift.\(code)", message: message)
    }

    private static func code(state: String) -> String? {
        switch state {
        case "42P01", "3F000": "TableNotFound"
        case "42703": "ColumnNotFound"
        case "42601": "SyntaxError"
        case "42501": "InsufficientPrivilege"
        case "42804", "42846": "ColumnMismatch"
        case "23502": "MissingColumn"
        case "25006": "ReadOnlyCluster"
        case "53100": "DiskFull"
        case "3D000": "DatabaseNotFound"
        case "28000", "28P01": "AuthenticationFailed"
        case "53300", "57P01", "57P02", "57P03", "57014": "ConnectionFailed"
        case _ where state.hasPrefix("08"): "ConnectionFailed"
        case _ where state.hasPrefix("22"): "DataLoadFailed"
        default: nil
        }
    }

    private static func code(message: String) -> String? {
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
    private static func begins(_ text: Substring) -> String? {
        let starts = [
            ("column \"", "ColumnNotFound"), ("relation \"", "TableNotFound"),
            ("schema \"", "TableNotFound"), ("table \"", "TableNotFound"),
            ("database \"", "DatabaseNotFound"), ("role \"", "AuthenticationFailed"),
            ("user \"", "AuthenticationFailed"),
        ]
        if let found = starts.first(where: { text.hasPrefix($0.0) }),
            text.contains("does not exist")
        {
            return found.1
        }
        if text.hasPrefix("cannot copy into nonexistent table") { return "TableNotFound" }
        if text.hasPrefix("syntax error") { return "SyntaxError" }
        if text.hasPrefix("permission denied") { return "InsufficientPrivilege" }
        return nil
    }

    private static func contains(_ text: Substring) -> String? {
        func has(_ parts: String...) -> Bool { parts.contains { text.contains($0) } }
        if has("s3serviceexception", "s3 bucket", "s3 path", "s3 file", "s3 query") {
            if has("nosuchkey", "not found", "status 404", "does not exist") {
                return "MissingS3File"
            }
            if has("permanentredirect", "region") { return "IncorrectOrMissingRegion" }
            if has("accessdenied", "access denied", "status 403", "forbidden") {
                return "S3BucketAccessDenied"
            }
        }
        if has("jsonpath") { return "IncorrectJsonPathsFile" }
        if has("assume iam role", "assume role", "accessdenied", "access denied") {
            return "AccessDenied"
        }
        if has("load into table", "stl_load_errors", "sys_load_error_detail") {
            return "DataLoadFailed"
        }
        if has("authentication failed", "pg_hba.conf", "no password supplied") {
            return "AuthenticationFailed"
        }
        // Behind what psql puts before what the server said.
        for (kind, code) in [
            ("database \"", "DatabaseNotFound"), ("role \"", "AuthenticationFailed"),
        ] where has(kind) && has("does not exist") {
            return code
        }
        if has("permission denied") { return "InsufficientPrivilege" }
        if has("disk full", "no space left") { return "DiskFull" }
        if has("read-only", "read only") { return "ReadOnlyCluster" }
        if has("syntax error") { return "SyntaxError" }
        if has("copy"), has("option") { return "IncorrectCopyOptions" }
        if has("could not connect", "connection", "could not translate host", "timeout expired") {
            return "ConnectionFailed"
        }
        return nil
    }
}
