internal import ArgumentParser
internal import Client
internal import Foundation
internal import Platform
internal import Records

/// `hydrant put`.
struct Put: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Puts the lines of standard input into a stream, one record each.",
        discussion: ClientOptions.environment
    )

    @Argument(help: "The stream's name.", completion: ClientOptions.streamNames)
    var stream: String

    @Flag(help: "Leave out the newline that is each record's last byte otherwise.")
    var stripNewlines = false

    @Flag(help: "Print what went through as a JSON object, on standard output.")
    var json = false

    @Option(help: "Seconds that a record waits for others at the most.")
    var linger = 1.0

    @Option(help: "Seconds for which records that are refused are tried again.")
    var retryDuration = 300.0

    @OptionGroup
    var client: ClientOptions

    func validate() throws {
        guard DeliveryStream.isValidName(stream) else {
            throw ValidationError("'\(stream)' is not the name of a stream")
        }
        guard linger >= 0, linger < 86_400 else {
            throw ValidationError("--linger is 0 to 86400 seconds")
        }
        guard retryDuration >= 0, retryDuration < 1e9 else {
            throw ValidationError("--retry-duration is 0 seconds or more")
        }
    }

    func run() async throws {
        try await client.withClient { client in
            let sender = BatchSender(
                client,
                stream: stream,
                retryDuration: .seconds(retryDuration)
            )
            var progress = Progress()
            var batcher = LineBatcher(stripsNewlines: stripNewlines)
            // The count comes last, behind what went wrong.
            defer { if json { progress.finishAsJSON() } else { progress.finish() } }
            try await Complaint.catching {
                try await ClientOptions.advised { try await copy(&batcher, sender, &progress) }
            }
            guard progress.oversized == 0 else { throw ExitCode.failure }
        }
    }

    /// Sends standard input to its end.
    private func copy(
        _ batcher: inout LineBatcher,
        _ sender: BatchSender,
        _ progress: inout Progress
    ) async throws {
        let thread = WorkerThreads(count: 1)
        defer { thread.close() }
        StandardInput.catchSignals()
        let clock = ContinuousClock()
        // When the oldest record that waits for others began to.
        var waitingSince: ContinuousClock.Instant?
        var ending: Ending?
        while ending == nil {
            let patience = waitingSince.map { .seconds(linger) - $0.duration(to: clock.now) }
            let input = try await thread.run { _ in try StandardInput.next(within: patience) }
            var batches: [[[UInt8]]] = []
            switch input {
            case .bytes(let bytes): batches = batcher.add(bytes)
            case .nothing: break
            case .interrupted(let signal):
                // What stands in the middle of a line is no record yet.
                batches = [batcher.takeRest()]
                ending = .signal(signal)
            case .end:
                batches = batcher.finish()
                ending = .input
            }
            if !batches.isEmpty { waitingSince = nil }
            let now = clock.now
            if !batcher.isEmpty, waitingSince == nil { waitingSince = now }
            if let since = waitingSince, since.duration(to: now) >= .seconds(linger) {
                batches.append(batcher.takeRest())
                waitingSince = nil
            }
            progress.report(&batcher)
            for batch in batches {
                try await sender.send(batch) {
                    progress.add($0, $1)
                } retrying: { failure in
                    let advice = failure.advice.map { "; \($0)" } ?? ""
                    StandardStreams.complain(
                        "hydrant: \(failure); trying again for \(Int(retryDuration)) s "
                            + "(--retry-duration)\(advice)\n"
                    )
                } isStopped: {
                    StandardInput.isInterrupted
                }
            }
        }
        // As a shell tells of a process that a signal ended.
        if case .signal(let number) = ending { throw ExitCode(128 + number) }
    }

    private enum Ending {
        case input
        case signal(Int32)
    }
}

/// What went through, on standard error.
private struct Progress {
    private var records = 0
    private var bytes = 0
    private(set) var oversized = 0
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private var shown = ContinuousClock.now

    mutating func add(_ records: Int, _ bytes: Int) {
        self.records += records
        self.bytes += bytes
        guard isTerminal, shown.duration(to: .now) > .milliseconds(200) else { return }
        shown = .now
        write("\r\(self.records) records, \(self.bytes) bytes")
    }

    /// Names the lines that no record can hold.
    mutating func report(_ batcher: inout LineBatcher) {
        for (line, bytes) in batcher.oversized {
            oversized += 1
            write(
                "hydrant: line \(line) has \(bytes) bytes and is left out: a record has at most "
                    + "\(Limits.maximumRecordBytes)\n"
            )
        }
        batcher.oversized = []
    }

    /// Says it to a program: nobody is left to be told where that cannot be.
    func finishAsJSON() {
        if isTerminal { write("\r\u{1b}[K") }
        try? StandardStreams.print(
            #"{"bytes":\#(bytes),"leftOut":\#(oversized),"records":\#(records)}"#
        )
    }

    func finish() { write("\(isTerminal ? "\r" : "")\(records) records, \(bytes) bytes\n") }

    private func write(_ text: String) { StandardStreams.complain(text) }
}
