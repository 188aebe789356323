internal import ArgumentParser
internal import Client
internal import Foundation
internal import JSON
internal import Records

/// `hydrant flush`.
struct Flush: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Delivers now what waits in a stream's buffers.",
        discussion: """
            What was put before is cut into buffers at once, and this waits until all of it is \
            delivered, or kept as failed. What is put meanwhile waits as ever. Ends with 1 where \
            something is left when the time is up; it goes on its way all the same. Keys need the \
            action hydrant:FlushDeliveryStream.

            \(ClientOptions.environment)
            """
    )

    @Argument(help: "The stream's name.", completion: ClientOptions.streamNames)
    var stream: String

    @Option(help: "Seconds to wait at the most.")
    var timeout = 300.0

    @Flag(help: "Do not wait for the delivery.")
    var noWait = false

    @Flag(help: "Print the outcome as a JSON object.")
    var json = false

    @OptionGroup
    var client: ClientOptions

    func validate() throws {
        guard timeout >= 0, timeout < 1e9 else {
            throw ValidationError("--timeout is 0 seconds or more")
        }
    }

    func run() async throws {
        try await client.withClient { client in
            let began = client.time.instant()
            var line = ProgressLine()
            let before = await Fates(of: stream, client)
            var input: JSONValue = ["DeliveryStreamName": .string(stream)]
            var first: Int?
            var last = 0
            while true {
                do {
                    let answer = try await client.call("FlushDeliveryStream", input, of: .hydrant)
                    last = answer["PendingRecords"]?.integer ?? 0
                    input["Token"] = answer["Token"]
                } catch let failure as FirehoseClient.Failure
                    where failure.isTransient && first != nil
                {
                    line.show("\(failure.code); waiting")
                }
                if first == nil { first = last }
                let used = began.duration(to: client.time.instant())
                if last == 0 || noWait || used >= .seconds(timeout) { break }
                line.show("\(last) records of \(stream) are on their way")
                try await client.time.sleep(for: .milliseconds(100))
            }
            line.clear()
            let after = noWait ? before : await Fates(of: stream, client)
            let used = began.duration(to: client.time.instant())
            try report(first ?? 0, left: last, used, after - before)
            if last > 0, !noWait { throw ExitCode.failure }
        }
    }

    /// What became of a stream's records that were not delivered.
    private struct Fates {
        var failed = 0
        var dropped = 0

        /// Since the server's start; nothing where its metrics cannot be read.
        init(of stream: String, _ client: FirehoseClient) async {
            guard let page = try? await client.page("/metrics"),
                let stats = MetricsPage(page).streams[stream]
            else { return }
            failed = stats.failed
            dropped = stats.dropped
        }

        private init(failed: Int, dropped: Int) {
            self.failed = failed
            self.dropped = dropped
        }

        static func - (left: Fates, right: Fates) -> Fates {
            Fates(
                failed: max(0, left.failed - right.failed),
                dropped: max(0, left.dropped - right.dropped)
            )
        }

        /// In words; empty where nothing of the kind happened.
        var text: String {
            var parts: [String] = []
            if failed > 0 { parts.append("\(failed) failed (see the bucket's error prefix)") }
            if dropped > 0 { parts.append("\(dropped) dropped") }
            return parts.joined(separator: ", ")
        }
    }

    private func report(
        _ records: Int,
        left: Int,
        _ duration: Duration,
        _ fates: Fates
    ) throws {
        let seconds = (duration / .seconds(1) * 1000).rounded() / 1000
        if json {
            let outcome: JSONValue = [
                "stream": .string(stream), "records": .integer(records),
                "pendingRecords": .integer(left), "isDelivered": .boolean(left == 0),
                "seconds": .number(seconds), "failedRecords": .integer(fates.failed),
                "droppedRecords": .integer(fates.dropped),
            ]
            return try Document.write(outcome)
        }
        if left == 0 {
            guard records > 0 else {
                return try StandardStreams.print("nothing waited in \(stream)")
            }
            return try StandardStreams.print(
                fates.text.isEmpty
                    ? "\(records) records of \(stream) are delivered, in \(seconds) s"
                    : "\(records) records of \(stream) are done, in \(seconds) s: \(fates.text)"
            )
        }
        guard !noWait else {
            return try StandardStreams.print("\(left) records of \(stream) are on their way")
        }
        StandardStreams.complain(
            "hydrant: \(left) records of \(stream) are still on their way after \(seconds) s: see "
                + "the server's log for what is in the way, and `hydrant stats \(stream)`\n"
        )
    }
}

/// A line on standard error that changes, where that is a terminal.
struct ProgressLine {
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private var isShown = false

    mutating func show(_ text: String) {
        guard isTerminal else { return }
        isShown = true
        StandardStreams.complain("\r\u{1b}[K\(text)")
    }

    mutating func clear() {
        if isShown { StandardStreams.complain("\r\u{1b}[K") }
        isShown = false
    }
}
