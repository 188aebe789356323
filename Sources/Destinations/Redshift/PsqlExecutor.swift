internal import Foundation
internal import Platform
internal import Records
internal import Subprocess
internal import SystemPackage

/// PostgreSQL's own client, a process for each COPY; Redshift speaks its protocol.
struct PsqlExecutor: CopyExecutor {
    /// What it may say: more is not read.
    private static let maximumOutputBytes = 4 * 1024 * 1024
    private static let connectSeconds = 30
    private static let grace: Duration = .seconds(5)
    /// What the script says on its way.
    private enum Mark {
        static let sent = "hydrant:sent"
        static let loaded = "hydrant:loaded"
        static let before = "hydrant:before"
    }

    private let settings: CopySettings

    init(_ settings: CopySettings) { self.settings = settings }

    func run(
        _ statement: String,
        _ job: CopyService.Job
    ) async throws(CancellationError) -> CopyService.Outcome {
        let script = script(statement, job)
        let environment = environment(job.warehouse)
        let end: End
        do {
            end = try await withThrowingTaskGroup(of: End?.self) { group in
                group.addTask { [settings] in
                    try await Self.run(settings.psql, environment, script)
                }
                group.addTask { [settings] in
                    try await Task.sleep(for: settings.timeout)
                    return nil
                }
                let first = try await group.next() ?? nil
                group.cancelAll()
                // The process has ended when the group has.
                return first ?? End(status: nil, output: Mark.sent, error: "")
            }
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            if Task.isCancelled { throw CancellationError() }
            let message = "\(settings.psql) cannot be run: \(error)"
            let failure = CopyFailure(.internalError, message).failure
            let code = (error as? SubprocessError)?.code
            // It has not run, or it has and said too much.
            return code == .executableNotFound || code == .spawnFailed
                ? .failed(failure) : .unknown(failure)
        }
        if Task.isCancelled { throw CancellationError() }
        return outcome(end, job.warehouse)
    }

    // MARK: The process

    private struct End: Sendable {
        /// Nil where its time was up.
        var status: Int32?
        var output: String
        var error: String
    }

    private static func run(
        _ psql: String,
        _ variables: [String: String],
        _ script: String
    ) async throws -> End {
        var options = PlatformOptions()
        options.processGroupID = 0
        // It cancels its statement before it ends; a group, since it may be started by a script.
        options.teardownSequence = [
            .send(signal: .interrupt, toProcessGroup: true, allowedDurationToNextStep: grace),
            .gracefulShutDown(toProcessGroup: true, allowedDurationToNextStep: grace),
        ]
        var environment: [Environment.Key: String] = [:]
        for (name, value) in variables {
            if let key = Environment.Key(rawValue: name) { environment[key] = value }
        }
        // Not written while it runs: one that ends without reading would be a failure of the write.
        let input = try Pipe.holding(Array(script.utf8))
        let result = try await Subprocess.run(
            psql.contains("/") ? .path(.init(psql)) : .name(psql),
            arguments: [
                "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--no-password",
                "--file=-",
            ],
            environment: .custom(environment),
            platformOptions: options,
            input: .fileDescriptor(.init(rawValue: input), closeAfterSpawningProcess: true),
            output: .string(limit: maximumOutputBytes),
            error: .string(limit: maximumOutputBytes)
        )
        let status: Int32 =
            switch result.terminationStatus {
            case .exited(let code): code
            case .signaled(let number): 128 + number
            }
        return End(
            status: status,
            output: result.standardOutput,
            error: result.standardError
        )
    }

    private func environment(_ warehouse: RedshiftConfiguration) -> [String: String] {
        var environment = [
            "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin",
            "HOME": "/nonexistent", "LC_ALL": "C", "PGHOST": warehouse.host,
            "PGPORT": "\(warehouse.port)", "PGDATABASE": warehouse.database,
            "PGSSLMODE": settings.tlsMode.rawValue, "PGCONNECT_TIMEOUT": "\(Self.connectSeconds)",
            "PGAPPNAME": "hydrant",
        ]
        if !warehouse.user.isEmpty { environment["PGUSER"] = warehouse.user }
        if !warehouse.password.isEmpty { environment["PGPASSWORD"] = warehouse.password }
        if let path = settings.certificateAuthority { environment["PGSSLROOTCERT"] = path }
        return environment
    }

    /// What psql reads: its own commands stand only where they are written here, since nothing of a
    /// configuration has a backslash outside quotes.
    private func script(_ statement: String, _ job: CopyService.Job) -> String {
        var lines = [
            "\\set ON_ERROR_STOP 1", "\\set VERBOSITY verbose", "\\o /dev/null",
        ]
        // The server says that it has come behind the statement: psql's own commands run also where the
        // statement is one that never ends.
        // A template may end in a comment.
        let end = settings.template == nil ? ";" : "\n;"
        let done = ["\\o", "SELECT '\(Mark.loaded)'", ";", ""]
        guard let ledger = settings.ledger else {
            lines += ["\\echo \(Mark.sent)", statement + end] + done
            return lines.joined(separator: "\n")
        }
        if ledger.creates {
            // It may be there though it cannot be created, or be created by another stream just now:
            // the lock tells.
            lines += ["\\set ON_ERROR_STOP 0", "\(ledger.creation);", "\\set ON_ERROR_STOP 1"]
        }
        lines += [
            "BEGIN;", "\(ledger.lock);", "\(ledger.search(job.ledgerKey)) \\gset",
            "\\if :hydrant_loaded", "ROLLBACK;", "\\echo \(Mark.before)", "\\else",
            "\\echo \(Mark.sent)", statement + end,
            "\(ledger.insertion(job.ledgerKey, stream: job.stream));", "COMMIT;",
        ]
        lines += done.dropLast() + ["\\endif", ""]
        return lines.joined(separator: "\n")
    }

    // MARK: Its end

    private func outcome(_ end: End, _ warehouse: RedshiftConfiguration) -> CopyService.Outcome {
        let marks = end.output.split(whereSeparator: \.isNewline)
        if marks.contains(where: { $0 == Mark.loaded }) { return .loaded }
        if marks.contains(where: { $0 == Mark.before }) { return .loadedBefore }
        let wasSent = marks.contains { $0 == Mark.sent }
        if end.status == 0 {
            return .failed(
                CopyFailure(
                    .syntaxError,
                    "the statement has no end: is something in it not closed?"
                ).failure
            )
        }
        guard let status = end.status else {
            return .unknown(
                CopyFailure(
                    .connectionFailed,
                    "COPY did not end within \(settings.timeout)"
                ).failure
            )
        }
        let (state, message) = Self.error(in: end.error)
        let text = settings.redacted(
            message.isEmpty ? "psql ended with status \(status)" : message,
            warehouse
        )
        // Its statuses: 1 is its own trouble, 2 the connection's, 3 an error in the script.
        var failure = CopyFailure(state: state, message: text)
        let isOfConnection = [.authenticationFailed, .databaseNotFound].contains(failure.code)
        if status == 2, !isOfConnection { failure.code = .connectionFailed }
        return wasSent && status != 3 ? .unknown(failure.failure) : .failed(failure.failure)
    }

    /// What psql says as it goes.
    private static let remarks = [
        "INFO:", "NOTICE:", "WARNING:", "LOG:", "DEBUG:", "LOCATION:", "DETAIL:", "HINT:",
        "CONTEXT:",
        "LINE ", "STATEMENT:",
    ]

    /// The last error that psql tells of: `ERROR:  42P01: relation "t" does not exist`.
    ///
    /// Its exit status tells who is in trouble and not why, so what it writes for people is read, here
    /// alone; `VERBOSITY verbose` has it write the SQLSTATE.
    private static func error(in text: String) -> (state: String?, message: String) {
        let lines = text.split(whereSeparator: \.isNewline).map { line in
            // `psql:<stdin>:7: ERROR: ...`
            guard line.hasPrefix("psql:"),
                let mark = line.range(
                    of: ": ",
                    range: line.index(line.startIndex, offsetBy: 5)..<line.endIndex
                )
            else { return String(line) }
            let rest = line[mark.upperBound...]
            return line[..<mark.lowerBound].contains("<stdin>") ? String(rest) : String(line)
        }
        let levels = ["ERROR:  ", "FATAL:  ", "PANIC:  "]
        for (place, line) in lines.enumerated().reversed() {
            // What a server says while it is connected to stands behind psql's own words.
            let isOfConnection = line.hasPrefix("psql: error:")
            guard let mark = levels.lazy.compactMap({ line.range(of: $0) }).first,
                isOfConnection || mark.lowerBound == line.startIndex
            else { continue }
            var message = String(line[mark.upperBound...])
            var state: String?
            if message.dropFirst(5).hasPrefix(": ") {
                state = String(message.prefix(5))
                message = String(message.dropFirst(7))
            }
            let details = lines[(place + 1)...].prefix { !$0.hasPrefix("LOCATION:") }
                .filter { ["DETAIL:", "HINT:", "CONTEXT:"].contains(where: $0.hasPrefix) }
            return (state, ([message] + details.prefix(2)).joined(separator: " "))
        }
        let rest = lines.filter { line in
            !remarks.contains(where: line.hasPrefix) && line.first?.isWhitespace != true
        }
        return (nil, rest.prefix(3).joined(separator: " "))
    }
}
