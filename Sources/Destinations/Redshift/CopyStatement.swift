internal import Records

/// The statement that loads what a manifest names.
struct CopyStatement {
    let warehouse: RedshiftConfiguration
    /// The manifest, `s3://bucket/key`.
    let manifest: String
    /// `aws_iam_role=...` or `aws_access_key_id=...;aws_secret_access_key=...`.
    let credentials: String

    private var table: String { SQLText.identifier(warehouse.table) }
    private var columns: String {
        warehouse.columns.map(SQLText.identifier).joined(separator: ", ")
    }

    /// COPY as Redshift takes it (database developer guide, "COPY"), without its semicolon.
    var copy: String {
        var text = "COPY \(table)"
        if !columns.isEmpty { text += " (\(columns))" }
        text += " FROM \(SQLText.literal(manifest)) CREDENTIALS \(SQLText.literal(credentials))"
        text += " MANIFEST"
        if !warehouse.options.isEmpty { text += " \(warehouse.options)" }
        return text
    }

    /// The statement that a template makes.
    func text(_ template: String?) -> String {
        guard let template else { return copy }
        let values = [
            "copy": copy, "copy_literal": SQLText.literal(copy), "table": table,
            "columns": columns, "manifest": SQLText.literal(manifest),
            "credentials": SQLText.literal(credentials), "options": warehouse.options,
            "options_literal": SQLText.literal(warehouse.options),
        ]
        var text = ""
        var rest = Substring(template)
        while let start = rest.firstIndex(of: "{") {
            text += rest[..<start]
            rest = rest[start...]
            if let end = rest.firstIndex(of: "}"),
                let value = values[String(rest[rest.index(after: start)..<end])]
            {
                text += value
                rest = rest[rest.index(after: end)...]
            } else {
                text += "{"
                rest.removeFirst()
            }
        }
        text += rest
        while let last = text.last, last == ";" || last.isWhitespace { text.removeLast() }
        return text
    }
}
