internal import ArgumentParser
internal import Destinations
internal import Foundation

/// How warehouses are loaded: options of all commands that run COPY.
struct WarehouseOptions: ParsableArguments {
    @Option(help: "What runs COPY: psql, data-api, or none for objects and manifests alone.")
    var copy = CopySettings.Executor.psql

    @Option(help: "Whose rights COPY has at S3: role (the destination's RoleARN), or keys (AWS_*).")
    var copyCredentials = CopySettings.Rights.role

    @Option(
        help: ArgumentHelp(
            "A statement to run in place of COPY.",
            discussion: """
                With {copy}, {copy_literal}, {table}, {columns}, {manifest}, {credentials}, \
                {options} and {options_literal}, quoted as SQL needs it: "SELECT \
                load_manifest({manifest})"
                """,
            valueName: "template"
        )
    )
    var copyStatement: String?

    @Option(
        help: ArgumentHelp(
            "A table of the manifests that were loaded, so that none is loaded twice.",
            discussion: "It is written in the transaction of the COPY.",
            valueName: "table"
        )
    )
    var copyLedger: String?

    @Flag(help: "Create the table of --copy-ledger where it is missing.")
    var createCopyLedger = false

    @Option(help: "TLS to warehouses: disable, allow, prefer, require, verify-ca or verify-full.")
    var copyTls = CopySettings.TLSMode.prefer

    @Option(help: "A PEM file with the authorities that a warehouse's certificate may be of.")
    var copyCa: String?

    @Option(help: "Seconds that one COPY may take.")
    var copyTimeout = 3600

    @Option(help: "PostgreSQL's client, by name or path.")
    var psql = "psql"

    @Option(help: "URL of the Redshift Data API. (default: AWS's own)")
    var dataApiEndpoint: String?

    @Option(help: "ARN of a secret that the Data API takes user and password from.")
    var dataApiSecret: String?

    func validate() throws {
        guard (1...604_800).contains(copyTimeout) else {
            throw ValidationError("--copy-timeout is 1 to 604800 seconds")
        }
        guard copyLedger != nil || !createCopyLedger else {
            throw ValidationError("--create-copy-ledger needs --copy-ledger")
        }
        if let dataApiEndpoint {
            guard let url = EndpointURL(dataApiEndpoint), !url.hasUserInfo else {
                throw ValidationError("--data-api-endpoint \(dataApiEndpoint) is not a valid URL")
            }
        }
        do {
            _ = try settings()
        } catch {
            throw ValidationError("--copy-statement or --copy-ledger: \(error)")
        }
    }

    func settings() throws -> CopySettings {
        var settings = CopySettings()
        settings.executor = copy
        settings.rights = copyCredentials
        settings.credentials = BucketOptions.credentials
        if let region = BucketOptions.environment["AWS_REGION"] { settings.region = region }
        settings.psql = psql
        settings.tlsMode = copyTls
        settings.certificateAuthority = copyCa.map(Place.absolute)
        settings.timeout = .seconds(copyTimeout)
        settings.dataAPIEndpoint = dataApiEndpoint
        settings.dataAPISecret = dataApiSecret
        if let copyStatement { try settings.use(template: copyStatement) }
        if let copyLedger { try settings.use(ledger: copyLedger, creates: createCopyLedger) }
        return settings
    }
}

extension CopySettings.Executor: ExpressibleByArgument {}
extension CopySettings.Rights: ExpressibleByArgument {}
extension CopySettings.TLSMode: ExpressibleByArgument {}
