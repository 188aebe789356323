import JSON
import Records
import TestSupport
import Testing

@testable import Destinations

@Suite struct RedshiftTests {
    private static func members(
        url: String = "jdbc:redshift://host:5439/db",
        table: String = "t",
        columns: String? = nil,
        options: String? = nil
    ) -> DestinationConfiguration {
        var command: JSONValue = ["DataTableName": .string(table)]
        command["DataTableColumns"] = columns.map { .string($0) }
        command["CopyOptions"] = options.map { .string($0) }
        return DestinationConfiguration(
            kind: .redshift,
            members: [
                "ClusterJDBCURL": .string(url), "CopyCommand": command,
                "RoleARN": "arn:aws:iam::000000000000:role/r", "Username": "u",
                "Password": "secret",
            ]
        )
    }

    private func copy(
        _ members: DestinationConfiguration,
        manifest: String = "s3://b/m"
    ) throws -> String {
        CopyStatement(
            warehouse: try RedshiftConfiguration(members),
            manifest: manifest,
            credentials: "aws_iam_role=arn"
        ).copy
    }

    // MARK: psql

    @Test(.timeLimit(.minutes(1)))
    func `a psql that ends without reading its input is a failure like others`() async throws {
        var settings = CopySettings()
        settings.psql = "/bin/false"
        let job = CopyService.Job(
            warehouse: try RedshiftConfiguration(Self.members()),
            manifest: "s3://b/m",
            ledgerKey: "k",
            stream: "s",
            token: "t"
        )
        for _ in 0..<50 {
            let outcome = try await PsqlExecutor(settings).run("COPY t", job)
            guard case .failed(let failure) = outcome else {
                Issue.record("\(outcome)")
                continue
            }
            #expect(failure.message.contains("psql ended with status 1"))
        }
    }

    // MARK: Statements

    @Test func `COPY is written as Redshift takes it`() throws {
        #expect(
            try copy(Self.members())
                == #"COPY "t" FROM 's3://b/m' CREDENTIALS 'aws_iam_role=arn' MANIFEST"#
        )
        #expect(
            try copy(
                Self.members(
                    table: "Public.\"My \"\"T\"\"\"",
                    columns: #"id, "Weird, Column""#,
                    options: " GZIP json 'auto' "
                )
            )
                == #"COPY "public"."My ""T""" ("id", "Weird, Column") FROM 's3://b/m' "#
                + "CREDENTIALS 'aws_iam_role=arn' MANIFEST GZIP json 'auto'"
        )
    }

    @Test func `nothing breaks out of a literal or a name`() throws {
        #expect(SQLText.literal("it's") == "'it''s'")
        #expect(SQLText.literal(#"a\'; DROP"#) == #"E'a\\''; DROP'"#)
        #expect(SQLText.identifier(#"a"; DROP TABLE x; --"#) == #""a""; DROP TABLE x; --""#)
        let statement = try copy(Self.members(table: "t; drop table x; --"), manifest: "s3://b/o'k")
        #expect(statement.hasPrefix(#"COPY "t; drop table x; --" FROM 's3://b/o''k' "#))
    }

    /// A database reads code points: to it, a quote with a combining mark is a quote.
    @Test(arguments: ["\u{301}", "\u{200d}", "\u{fe0f}"])
    func `no mark hides a quote`(mark: String) throws {
        #expect(Array(SQLText.literal("a'\(mark); x").utf8) == Array("'a''\(mark); x'".utf8))
        #expect(
            Array(SQLText.literal("a\\\(mark)'").utf8) == Array("E'a\\\\\(mark)'''".utf8)
        )
        #expect(Array(SQLText.identifier("a\"\(mark)").utf8) == Array("\"a\"\"\(mark)\"".utf8))
        for table in ["\"t\"\(mark); drop table x; --\"", "t\"\(mark)", "t\"\(mark) \\! ls"] {
            #expect(throws: FirehoseError.self) {
                try RedshiftConfiguration(Self.members(table: table))
            }
        }
        for options in ["'a'\(mark)", "GZIP;\(mark)", "'a\\'\(mark) x"] {
            #expect(throws: FirehoseError.self) {
                try RedshiftConfiguration(Self.members(options: options))
            }
        }
        var members = Self.members()
        members.members["S3Configuration"] = ["Prefix": .string("a\\\(mark)/")]
        #expect(throws: FirehoseError.self) { try RedshiftConfiguration(members) }
    }

    @Test func `names that are not quoted are folded as databases do`() throws {
        #expect(try SQLText.names("Ab.ÄB, \"Cd\"", maximumParts: 2) == [["ab", "Äb"], ["Cd"]])
    }

    @Test func `a template gets what it asks for`() throws {
        let statement = CopyStatement(
            warehouse: try RedshiftConfiguration(
                Self.members(columns: "a,b", options: "DELIMITER '|'")
            ),
            manifest: "s3://b/m",
            credentials: "c"
        )
        #expect(
            statement.text("CALL load({manifest}, {credentials});") == "CALL load('s3://b/m', 'c')"
        )
        #expect(
            statement.text("{table}({columns}) {unknown} { {options}")
                == #""t"("a", "b") {unknown} { DELIMITER '|'"#
        )
        #expect(statement.text("{options_literal}") == "'DELIMITER ''|'''")
        #expect(
            statement.text("f({copy_literal})").hasPrefix(#"f('COPY "t" ("a", "b") FROM ''s3:"#)
        )
        // What a value holds is not a placeholder of its own.
        let odd = CopyStatement(
            warehouse: try RedshiftConfiguration(Self.members(table: "\"{manifest}\"")),
            manifest: "s3://b/m",
            credentials: "c"
        )
        #expect(odd.text("{table}") == #""{manifest}""#)
    }

    @Test func `a placeholder that there is not is refused`() throws {
        var settings = CopySettings()
        #expect(throws: CopySettings.Failure.self) { try settings.use(template: "{tabel}") }
        try settings.use(template: "SELECT '{}'::json, {copy}")
    }

    // MARK: Configurations

    @Test(
        arguments: [
            ("jdbc:redshift://h.example:5440/db", "h.example", 5440, "db"),
            ("jdbc:postgresql://[::1]:5432/a%20b", "::1", 5432, "a b"),
            ("jdbc:redshift://[::1]/db", "::1", 5439, "db"),
            ("jdbc:redshift://h/db", "h", 5439, "db"),
        ]
    )
    func `a JDBC URL says where the database is`(
        url: String,
        host: String,
        port: Int,
        database: String
    ) throws {
        let warehouse = try RedshiftConfiguration(Self.members(url: url))
        #expect(warehouse.host == host)
        #expect(warehouse.port == port)
        #expect(warehouse.database == database)
    }

    @Test(arguments: [
        "", "jdbc:mysql://h/d", "jdbc:redshift://h", "jdbc:redshift:///d", "jdbc:redshift://h:0/d",
        "jdbc:redshift://h:70000/d", "jdbc:redshift://h/d?ssl=true", "jdbc:redshift://u@h/d",
        "jdbc:redshift://h,g/d", "jdbc:redshift:///tmp=x/d", "jdbc:redshift://h/d%00",
    ])
    func `what is no JDBC URL is refused`(url: String) {
        let error = #expect(throws: FirehoseError.self) {
            try RedshiftConfiguration(Self.members(url: url))
        }
        #expect(error?.message.contains("ClusterJDBCURL") == true)
    }

    @Test(arguments: ["", "a.b.c.d", "a..b", "\"a", "\"a\"b", "a\"b", "a,b", "a\n", "\"\""])
    func `what is no table is refused`(table: String) {
        let error = #expect(throws: FirehoseError.self) {
            try RedshiftConfiguration(Self.members(table: table))
        }
        #expect(error?.message.contains("CopyCommand.DataTableName") == true)
    }

    @Test(arguments: [
        ";", "--", "/* */", "\"x\"", "\\! ls", "$$x$$", ":x", "'open", #"'a\'"#, #"'a\' x 'b'"#,
        "GZIP; DROP", "JSON ('auto'", "a)", ")(", "a\nb", "é", #"'\\\'"#,
    ])
    func `options that could be more than options are refused`(options: String) {
        let error = #expect(throws: FirehoseError.self) {
            try RedshiftConfiguration(Self.members(options: options))
        }
        #expect(error?.message.contains("CopyCommand.CopyOptions") == true)
    }

    @Test(arguments: [
        "", "GZIP", "FORMAT AS JSON 'auto' GZIP", #"DELIMITER '\t' NULL AS '\000'"#,
        "IGNOREHEADER 1",
        "REGION 'eu-west-1' COMPUPDATE OFF MAXERROR AS 10", #"ESCAPE NULL '\\'"#, "QUOTE ''''",
        "FIXEDWIDTH 'a:1,b:2' json 's3://b/p''q.json'",
    ])
    func `options of COPY are taken as they are`(options: String) throws {
        #expect(try copy(Self.members(options: options)).hasSuffix(options))
    }

    /// Whatever options pass, both ways to read literals end them at the same places, and nothing but
    /// words is outside.
    @Test func `options that pass hold nothing else, however they are read`() throws {
        var generator = SeededGenerator(seed: 6)
        let pieces = ["'", "\\", "a", " ", ";", "''", "--", "\"", "x'", "\\'", "(", "$"]
        var accepted = 0
        for _ in 0..<20_000 {
            let count = Int.random(in: 0..<9, using: &generator)
            let text = (0..<count).map { _ in pieces.randomElement(using: &generator) ?? "" }
                .joined()
            guard (try? SQLText.checkOptions(text)) != nil else { continue }
            accepted += 1
            for escapes in [false, true] {
                var outside = ""
                var isInside = false
                var isEscaped = false
                for character in text {
                    if isEscaped {
                        isEscaped = false
                    } else if character == "'" {
                        isInside.toggle()
                    } else if isInside, escapes, character == "\\" {
                        isEscaped = true
                    } else if !isInside {
                        outside.append(character)
                    }
                }
                #expect(!isInside, "\(text)")
                #expect(outside.allSatisfy { "a x(".contains($0) }, "\(text)")
            }
        }
        #expect(accepted > 1000)
    }

    // MARK: Failures

    @Test(
        arguments: [
            ("42P01", "x", "TableNotFound"), ("42703", "x", "ColumnNotFound"),
            ("08006", "x", "ConnectionFailed"), ("22P02", "x", "DataLoadFailed"),
            (nil, "FATAL: password authentication failed for user", "AuthenticationFailed"),
            (nil, "database \"x\" does not exist", "DatabaseNotFound"),
            ("XX000", "S3ServiceException:Not Found,Status 404,Error NoSuchKey", "MissingS3File"),
            ("XX000", "S3ServiceException:Access Denied,Status 403", "S3BucketAccessDenied"),
            (nil, "ERROR: Load into table 't' failed. Check STL_LOAD_ERRORS", "DataLoadFailed"),
            ("XX000", "User arn is not authorized to assume IAM Role", "AccessDenied"),
            ("XX000", "Cannot COPY into nonexistent table t", "TableNotFound"),
            (nil, #"ERROR: column "role" of relation "x" does not exist"#, "ColumnNotFound"),
            (nil, #"relation "database_columns" does not exist"#, "TableNotFound"),
            (nil, #"Query #2 failed with ERROR: relation "x" does not exist"#, "TableNotFound"),
            (nil, #"FATAL: database "role" does not exist"#, "DatabaseNotFound"),
            (nil, "could not connect to server: Connection refused", "ConnectionFailed"),
            (nil, "something else", "InternalError"),
        ]
    )
    func `failures have Firehose's codes`(state: String?, message: String, code: String) {
        #expect(CopyFailure(state: state, message: message).failure.code == "Redshift.\(code)")
    }

    @Test func `S3's lists are read with their entities`() {
        let text =
            "<R><Key>a&amp;lt;b</Key><Key>c&quot;&#39;</Key><IsTruncated>true</IsTruncated></R>"
        #expect(XMLText.values(of: "Key", in: text) == ["a&lt;b", "c\"'"])
        #expect(XMLText.values(of: "IsTruncated", in: text) == ["true"])
    }
}
