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
        let text = message.lowercased()
        func has(_ parts: String...) -> Bool { parts.contains { text.contains($0) } }
        if has("s3serviceexception", "s3 ", "s3:") {
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
        if has("password authentication failed", "authentication failed", "pg_hba.conf") {
            return "AuthenticationFailed"
        }
        if has("no password supplied") || has("role") && has("does not exist") {
            return "AuthenticationFailed"
        }
        if has("permission denied") { return "InsufficientPrivilege" }
        if has("disk full", "no space left") { return "DiskFull" }
        if has("read-only", "read only") { return "ReadOnlyCluster" }
        if has("column"), has("does not exist") { return "ColumnNotFound" }
        if has("database"), has("does not exist") { return "DatabaseNotFound" }
        if has("relation", "table", "schema"), has("does not exist") { return "TableNotFound" }
        if has("syntax error") { return "SyntaxError" }
        if has("copy"), has("option") { return "IncorrectCopyOptions" }
        if has("could not connect", "connection", "could not translate host", "timeout expired") {
            return "ConnectionFailed"
        }
        return nil
    }
}
