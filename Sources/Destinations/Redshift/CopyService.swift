package import Egress
internal import Foundation
package import Records
internal import SigV4

/// Loads manifests into warehouses.
package struct CopyService: Sendable {
    /// What is to be loaded.
    package struct Job: Sendable {
        /// Where to.
        package var warehouse: RedshiftConfiguration
        /// The manifest, `s3://bucket/key`.
        package var manifest: String
        /// What the manifest is known by in the ledger.
        package var ledgerKey: String
        /// The stream that it is of.
        package var stream: String
        /// What this attempt is known by, also when it is repeated because its end is not known; at most
        /// 64 characters.
        package var token: String

        /// A job.
        package init(
            warehouse: RedshiftConfiguration,
            manifest: String,
            ledgerKey: String? = nil,
            stream: String,
            token: String
        ) {
            self.warehouse = warehouse
            self.manifest = manifest
            self.ledgerKey = ledgerKey ?? manifest
            self.stream = stream
            self.token = token
        }
    }

    /// What became of a COPY.
    package enum Outcome: Sendable {
        case loaded
        /// The ledger says that it was before.
        case loadedBefore
        case failed(DeliveryFailure)
        /// Nothing was run: an attempt before it whose end is not known may yet have loaded it.
        case notRun(DeliveryFailure)
        /// It may have been loaded, or may be yet.
        case unknown(DeliveryFailure)
    }

    private let settings: CopySettings
    private let executor: (any CopyExecutor)?
    /// Runs statements that load nothing.
    let asking: (any CopyExecutor)?

    /// Loads as the settings say.
    ///
    /// - Throws: `CopySettings.Failure` where they ask for keys that there are none of.
    package init(
        _ settings: CopySettings,
        client: HTTPClient,
        time: any TimeSource
    ) throws(CopySettings.Failure) {
        self.settings = settings
        let needsKeys = settings.executor == .dataAPI || settings.rights == .keys
        guard settings.credentials != nil || settings.executor == .none || !needsKeys else {
            throw CopySettings.Failure(
                description:
                    "--copy data-api and --copy-credentials keys need AWS_ACCESS_KEY_ID and "
                    + "AWS_SECRET_ACCESS_KEY"
            )
        }
        func executor(_ settings: CopySettings) -> (any CopyExecutor)? {
            switch settings.executor {
            case .psql: PsqlExecutor(settings)
            case .dataAPI: DataAPIExecutor(settings, client: client, time: time)
            case .none: nil
            }
        }
        self.executor = executor(settings)
        asking = executor(settings.forAsking)
    }

    /// Whether a ledger lets one COPY at a time into a warehouse.
    package var hasLedger: Bool { settings.ledger != nil }

    /// Whether anything is loaded at all.
    package var isActive: Bool { executor != nil }

    /// Runs COPY once.
    package func load(_ job: Job) async throws(CancellationError) -> Outcome {
        guard let executor else { return .loaded }
        let statement = CopyStatement(
            warehouse: job.warehouse,
            manifest: job.manifest,
            credentials: credentials(job.warehouse)
        )
        return try await executor.run(statement.text(settings.template), job)
    }

    private func credentials(_ warehouse: RedshiftConfiguration) -> String {
        guard settings.rights == .keys, let credentials = settings.credentials else {
            return "aws_iam_role=\(warehouse.roleARN)"
        }
        var text =
            "aws_access_key_id=\(credentials.accessKeyID);"
            + "aws_secret_access_key=\(credentials.secretAccessKey)"
        if let token = credentials.sessionToken { text += ";token=\(token)" }
        return text
    }
}

/// Runs statements in a warehouse.
protocol CopyExecutor: Sendable {
    /// Runs one, in a transaction with the ledger where there is one.
    func run(
        _ statement: String,
        _ job: CopyService.Job
    ) async throws(CancellationError) -> CopyService.Outcome
}

extension CopySettings {
    /// Takes what is secret out of a text for the log.
    func redacted(_ text: String, _ warehouse: RedshiftConfiguration) -> String {
        var text = text
        let secrets = [
            warehouse.password, credentials?.secretAccessKey, credentials?.sessionToken,
        ]
        for secret in secrets.compactMap(\.self) where secret.count >= 4 {
            text = text.replacingOccurrences(of: secret, with: "****")
        }
        return text
    }
}
