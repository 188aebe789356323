internal import ArgumentParser
internal import Foundation
internal import Logging
internal import Platform
internal import Records
internal import Transforms
internal import UnixSignals

/// `hydrant transform`.
struct Transform: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs transforms without a stream.",
        subcommands: [TransformRun.self]
    )
}

/// `hydrant transform run`.
struct TransformRun: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Runs a transform on records and shows what becomes of each.",
        discussion: """
            Ends with 0 where no record failed, with 2 where some did, and with 1 where the transform \
            cannot be run.
            """
    )

    @Argument(help: "The transform's name in its folder.")
    var name: String

    @Option(
        help: ArgumentHelp(
            "The records: lines, or an event as a transform gets it; - is standard input.",
            valueName: "file"
        )
    )
    var input: String

    @Option(help: ArgumentHelp("Where transforms are.", valueName: "dir"))
    var transforms = "./transforms"

    @Option(help: "The stream's name that the transform sees.")
    var stream = "test"

    @Flag(help: "Print a JSON object for each record.")
    var json = false

    @Flag(help: "Run the records again and again, and print how fast that is.")
    var bench = false

    @Option(help: "How long --bench takes (seconds).")
    var seconds = 5.0

    func validate() throws {
        guard Processing.Lambda.isValidName(name) else {
            throw ValidationError("'\(name)' is not the name of a transform")
        }
        guard DeliveryStream.isValidName(stream) else {
            throw ValidationError("'\(stream)' is not the name of a stream")
        }
        guard seconds > 0, seconds <= 86_400 else {
            throw ValidationError("--seconds is more than 0, and 86400 at the most")
        }
    }

    func run() async throws {
        signal(SIGPIPE, SIG_IGN)
        try await Complaint.catching {
            let input = try TransformInput(input)
            let host = TransformHost(
                folder: Place.absolute(transforms),
                identity: ServiceIdentity(region: "us-east-1", account: "000000000000"),
                time: SystemTime(),
                logger: Logger(label: "transform") { _ in TransformLines() }
            )
            let outcome: Result<Int, any Error>
            do {
                outcome = .success(try await run(input, host))
            } catch {
                outcome = .failure(error)
            }
            await host.shutDown()
            if try outcome.get() > 0 { throw ExitCode(2) }
        }
    }

    /// Runs until all is done, or until a signal comes; gives how many records failed.
    private func run(_ input: TransformInput, _ host: TransformHost) async throws -> Int {
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        return try await withThrowingTaskGroup(of: Int.self) { group in
            group.addTask {
                for await signal in signals { throw ExitCode(128 + signal.rawValue) }
                throw CancellationError()
            }
            group.addTask {
                try host.check(name)
                let pool = host.pool(name, arn: name, stream: stream)
                let batches = try input.batches(stream: stream)
                guard bench else { return try await show(batches, pool) }
                let figures = TransformBench(pool, batches)
                try StandardStreams.print(try await figures.run(for: .seconds(seconds)))
                return 0
            }
            defer { group.cancelAll() }
            return try await group.next() ?? 0
        }
    }

    /// Runs the records once, and gives how many failed.
    private func show(_ batches: [TransformInput.Batch], _ pool: TransformPool) async throws -> Int
    {
        var counts = (ok: 0, dropped: 0, failed: 0)
        for batch in batches {
            let response = try TransformResponse(
                try await pool.invoke(batch.event),
                to: batch.event
            )
            for (record, outcome) in zip(batch.records, response.outcomes) {
                var shown = ShownRecord(recordId: record.identifier)
                switch outcome {
                case .ok(let range):
                    counts.ok += 1
                    shown.result = "Ok"
                    shown.setData(Array(response.data.bytes[range]))
                case .dropped:
                    counts.dropped += 1
                    shown.result = "Dropped"
                case .failed(let error, let message):
                    counts.failed += 1
                    shown.result = "ProcessingFailed"
                    shown.errorCode = error.rawValue
                    shown.errorMessage = message
                }
                try StandardStreams.print(json ? try shown.json : shown.text)
            }
        }
        let total = counts.ok + counts.dropped + counts.failed
        StandardStreams.complain(
            """
            \(total) records: \(counts.ok) Ok, \(counts.dropped) Dropped, \(counts.failed) failed

            """
        )
        return counts.failed
    }
}

/// What became of a record, to be shown.
private struct ShownRecord: Encodable {
    var recordId: String
    var result = ""
    var data: String?
    var dataBase64: String?
    var errorCode: String?
    var errorMessage: String?

    mutating func setData(_ bytes: [UInt8]) {
        data = String(validating: bytes, as: UTF8.self)
        if data == nil { dataBase64 = Base64.text(bytes) }
    }

    var json: String {
        get throws { try Document.line(self) }
    }

    var text: String {
        var output = data ?? dataBase64.map { "base64:" + $0 } ?? ""
        if output.utf8.last == UInt8(ascii: "\n") { output.removeLast() }
        if let errorCode { output = "\(errorCode): \(errorMessage ?? "")" }
        return output.isEmpty ? "\(recordId)  \(result)" : "\(recordId)  \(result)  \(output)"
    }
}

/// Shows what a transform writes to its standard error, line by line, and nothing else.
private struct TransformLines: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        if let line = event.metadata?["line"] {
            StandardStreams.complain("\(line)\n")
        } else if let count = event.metadata?["lines_left_out"] {
            StandardStreams.complain("(\(count) lines more)\n")
        }
    }
}
