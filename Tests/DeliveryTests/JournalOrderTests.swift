import DeliveryTesting
import Destinations
import Logging
import Records
import Synchronization
import TestSupport
import Testing

@testable import Delivery

/// What the shell around the state machines must keep: nothing leaves the server before its journal entry is
/// durable, and an entry goes only after the checkpoint has passed it.
@Suite(.timeLimit(.minutes(1))) struct JournalOrderTests {
    /// What happened, in order.
    private final class Events: Sendable {
        let all = Mutex<[String]>([])

        func add(_ event: String) { all.withLock { $0.append(event) } }
    }

    /// A journal that tells what it is asked, and whose first writes fail.
    private final class ToldJournal: BufferJournal {
        private let journal: FileJournal
        private let events: Events
        private let log: any RecordLog
        private let failures = Mutex(2)

        init(_ journal: FileJournal, _ events: Events, _ log: any RecordLog) {
            self.journal = journal
            self.events = events
            self.log = log
        }

        func load() throws -> [JournalEntry] { try journal.load() }
        func resume(from checkpoint: LogMark) throws -> [JournalEntry] {
            try journal.resume(from: checkpoint)
        }

        func propose(_ entry: JournalEntry) async throws -> JournalEntry {
            let fails = failures.withLock { failures in
                failures -= 1
                return failures >= 0
            }
            if fails {
                events.add("propose fails")
                throw FileJournal.Failure(description: "no disk")
            }
            let won = try await journal.propose(entry)
            events.add("durable")
            return won
        }

        func note(_ note: JournalNote, of sequence: UInt64) async throws {
            try await journal.note(note, of: sequence)
        }

        func keep(
            _ records: SpooledObject,
            _ summary: FailureSummary,
            of sequence: UInt64
        ) async throws {
            try await journal.keep(records, summary, of: sequence)
        }

        func kept(of sequence: UInt64) async throws -> KeptContent {
            try await journal.kept(of: sequence)
        }

        func forget(_ sequences: [UInt64]) async throws {
            events.add("forget behind \(log.checkpoint(of: "delivery").records)")
            try await journal.forget(sequences)
        }
    }

    private func target() throws -> DeliveryTarget {
        DeliveryTarget(
            version: 1,
            destination: S3Destination(bucketARN: "arn:aws:s3:::bucket"),
            bounds: BufferBounds(bytes: 1000, intervalSeconds: 0, maximumInFlight: 1),
            template: try KeyTemplate("", as: .prefix)
        )
    }

    @Test(arguments: LogKind.allCases)
    func `nothing is sent before its entry is durable, nor forgotten before the checkpoint moves`(
        kind: LogKind
    ) async throws {
        let folder = TemporaryFolder()
        let time = ManualTime()
        let events = Events()
        let store = ScriptedStore { _, _ in
            events.add("PUT")
            return .delivered
        }
        let environment = DeliveryEnvironment(
            options: DeliveryOptions(store: store, time: time),
            identity: DeliveryHarness.identity,
            spoolFolder: folder.path,
            setAsideFolder: folder("aside"),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
        let logs = TestLogs(kind, spareFolder: folder("spare"), time: time)
        let log = try logs.start().open(folder("log"), for: LogUse(readers: ["delivery"]))
        let journal = ToldJournal(
            try FileJournal(
                folder: folder("journal"),
                threads: environment.diskThreads,
                masterKeys: nil
            ),
            events,
            log
        )
        let pipeline = try StreamPipeline(
            .source,
            of: "s",
            settings: PipelineSettings(processor: ObjectProcessor(try target()), bucket: "bucket"),
            log: log,
            journal: journal,
            environment: environment
        )
        let run = Task { await pipeline.run() }
        await withCheckedContinuation { continuation in
            log.append(RecordBatch([[1], [2], [3]]), arrival: time.now()) { _ in
                continuation.resume()
            }
        }
        // Each failure is waited for, as long as it takes.
        while !Task.isCancelled, events.all.withLock({ !$0.contains("forget behind 3") }) {
            time.advance(by: .seconds(70))
            await Task.yield()
        }
        #expect(
            events.all.withLock { $0 }
                == ["propose fails", "propose fails", "durable", "PUT", "forget behind 3"]
        )
        run.cancel()
        await run.value
        await log.close()
        logs.stop()
        environment.close()
    }
}
