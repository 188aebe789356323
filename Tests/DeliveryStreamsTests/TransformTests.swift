import Delivery
import DeliveryTesting
import Destinations
import Foundation
import JSON
import Platform
import Records
import Synchronization
import TestSupport
import Testing

@testable import DeliveryStreams
@testable import Transforms

@Suite(.timeLimit(.minutes(1))) struct TransformTests {
    /// Takes records apart at commas, without a program.
    private static let commas: JSONValue = [
        "Type": "RecordDeAggregation",
        "Parameters": [
            ["ParameterName": "SubRecordType", "ParameterValue": "DELIMITED"],
            ["ParameterName": "Delimiter", "ParameterValue": "LA=="],
        ],
    ]

    private func texts(_ store: ScriptedStore) -> String {
        let bytes = store.objects.sorted { $0.key < $1.key }.flatMap(\.value)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Lets time go by until so many bytes are stored.
    ///
    /// A transformed record's buffer begins to wait when the record comes into it, which no sleeper
    /// tells.
    private func untilStored(
        _ count: Int,
        _ store: ScriptedStore,
        _ harness: DeliveryHarness
    ) async throws {
        while texts(store).utf8.count < count {
            harness.time.advance(by: .seconds(901))
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    @Test func `progress is read as it was written`() {
        var generator = SeededGenerator(seed: 91)
        for _ in 0..<1000 {
            func mark() -> LogMark {
                LogMark(
                    position: LogPosition(
                        offset: .random(in: 0...(.max), using: &generator),
                        record: .random(in: 0...(.max), using: &generator)
                    ),
                    records: .random(in: 0...(.max), using: &generator),
                    bytes: .random(in: 0...(.max), using: &generator)
                )
            }
            let progress = OutcomeRecord.Progress(
                start: mark(),
                end: mark(),
                from: .random(in: 0...(.max), using: &generator),
                records: .random(in: 0...(.max >> 1), using: &generator),
                isComplete: .random(using: &generator)
            )
            var bytes = [UInt8](repeating: 0, count: OutcomeRecord.Progress.byteCount)
            bytes.withUnsafeMutableBytes { progress.write(to: $0) }
            #expect(bytes.withUnsafeBytes { OutcomeRecord.Progress($0) } == progress)
            let longer = bytes + [0]
            #expect(longer.withUnsafeBytes { OutcomeRecord.Progress($0) } == nil)
        }
    }

    @Test func `those behind wait for those before, and stop with them`() async throws {
        let first = Turn(after: nil)
        let second = Turn(after: first)
        let third = Turn(after: second)
        try await first.come()
        let comes = Task { try await second.come() }
        first.end(isDone: true)
        try await comes.value
        let never = Task { try await third.come() }
        second.end(isDone: false)
        await #expect(throws: CancellationError.self) { try await never.value }
    }

    @Test(arguments: LogKind.allCases)
    func `what was transformed is delivered, with the time at which it was put`(
        logs: LogKind
    ) async throws {
        let store = ScriptedStore()
        let harness = try await DeliveryHarness(store, logs: logs)
        try await harness.create(interval: 60, processors: [Self.commas])
        try await harness.put([Array("a,b".utf8), Array("c".utf8)])
        try await untilStored(3, store, harness)
        #expect(texts(store) == "abc")
        #expect(store.puts[0].plan.key.contains("s-1-2026-07-13-14-05-06-"))
        await harness.stop()
    }

    /// The content of each PUT that succeeded, in order, from when processing is switched off on.
    private func switchOff(
        _ store: ScriptedStore,
        _ harness: DeliveryHarness,
        restarts: Bool = false
    ) async throws -> [String] {
        try await harness.create(interval: 60, processors: [Self.commas])
        try await harness.put([Array("a,b".utf8)])
        try await harness.eventually { try outcomeRecords(harness) > 0 }
        try await harness.registry.update("s") {
            $0.destination.members["ProcessingConfiguration"] = nil
        }
        if restarts { try await harness.restart(store) }
        try await harness.put([Array("c".utf8)])
        try await untilStored(3, store, harness)
        return store.puts.map { String(decoding: $0.content, as: UTF8.self) }
    }

    private func outcomeRecords(_ harness: DeliveryHarness) throws -> UInt64 {
        guard case .active(let active) = harness.registry.entries.withLock({ $0["s"] }) else {
            return 0
        }
        return active.delivery.parts.withLock { $0.outcome?.log.log.tail.records ?? 0 }
    }

    @Test(arguments: [false, true], LogKind.allCases)
    func `records put after processing is switched off do not overtake those transformed before`(
        restarts: Bool,
        logs: LogKind
    ) async throws {
        // What was transformed fails five times.
        let store = ScriptedStore { put, _ in
            put < 5 ? .failed(DeliveryFailure(code: "Busy", message: "busy")) : .delivered
        }
        let harness = try await DeliveryHarness(store, logs: logs)
        let contents = try await switchOff(store, harness, restarts: restarts)
        #expect(contents == Array(repeating: "ab", count: 6) + ["c"])
        #expect(texts(store) == "abc")
        await harness.stop()
    }

    @Test func `a flush after processing is switched off sends what was transformed as well`()
        async throws
    {
        let store = ScriptedStore()
        let harness = try await DeliveryHarness(store)
        try await harness.create(interval: 900, processors: [Self.commas])
        try await harness.put([Array("a,b".utf8)])
        try await harness.eventually { try outcomeRecords(harness) > 0 }
        try await harness.registry.update("s") {
            $0.destination.members["ProcessingConfiguration"] = nil
        }
        try await harness.put([Array("c".utf8)])
        _ = try harness.registry.flush("s", token: nil)
        // No time goes by.
        await store.whenPuts(2)
        #expect(texts(store) == "abc")
        await harness.stop()
    }

    @Test(arguments: [496, 100, 20])
    func `a disk that is full for producers is drained through a transform`(
        freeMebibytes: UInt64
    ) async throws {
        let store = ScriptedStore()
        let free = Mutex<UInt64>(.max)
        let harness = try DeliveryHarness(.init(store: store)) { _ in free.withLock { $0 } }
        try await harness.create(interval: 900)
        for _ in 0..<8 {
            try await harness.put([Array(repeating: UInt8(ascii: "x"), count: 500_000)])
        }
        free.withLock { $0 = freeMebibytes << 20 }
        try await harness.registry.update("s") {
            $0.destination.members["ProcessingConfiguration"] = [
                "Enabled": true, "Processors": [Self.commas],
            ]
        }
        try await untilStored(4_000_000, store, harness)
        await harness.stop()
    }

    @Test(arguments: LogKind.allCases)
    func `after a crash in the middle of a batch, only the rest of it is transformed`(
        logs: LogKind
    ) async throws {
        let store = ScriptedStore()
        let harness = try await DeliveryHarness(store, logs: logs)
        // Nothing of the stream is transformed before the crash: it is delivered as it is, later.
        try await harness.create(interval: 900)
        let records = ["a,b", "c", "d,e", "f"].map { Array($0.utf8) }
        try await harness.put(records)
        await harness.stop()
        try turnIntoTransformed(harness)
        try await writeOutcome(harness, covering: 2, of: records)
        try await harness.restart(store)
        // In one object or two: the rest may come before or after the first is cut.
        try await untilStored(5, store, harness)
        #expect(texts(store) == "XYdef")
        await harness.stop()
    }

    /// Changes the stream's configuration on disk.
    private func turnIntoTransformed(_ harness: DeliveryHarness) throws {
        let folder = harness.folder("data/streams/s.stream")
        var stream = try StreamFile.load(folder)
        stream.destination.members["ProcessingConfiguration"] = [
            "Enabled": true, "Processors": [Self.commas],
        ]
        try StreamFile.store(stream, folder)
    }

    /// Writes the frame that a server would have made durable before it died.
    private func writeOutcome(
        _ harness: DeliveryHarness,
        covering count: UInt64,
        of records: [[UInt8]]
    ) async throws {
        let folder = harness.folder("data/streams/s.stream")
        try await harness.withLogs { logs in
            let source = try logs.open(folder + "/log", for: LogUse(readers: ["delivery"]))
            let outcome = try OutcomeLog(
                folder + "/outcome",
                logs: logs,
                floors: [],
                isEncrypted: false
            )
            let progress = OutcomeRecord.Progress(
                start: source.checkpoint(of: "delivery"),
                end: source.tail,
                from: 0,
                records: count,
                isComplete: false
            )
            var bytes = [UInt8](repeating: 0, count: OutcomeRecord.Progress.byteCount)
            bytes.withUnsafeMutableBytes { progress.write(to: $0) }
            let frame = RecordBatch([[0] + bytes, [1] + Array("X".utf8), [1] + Array("Y".utf8)])
            _ = try await outcome.append(frame, arrival: harness.time.now())
            await source.close()
            await outcome.log.close()
        }
    }
}
