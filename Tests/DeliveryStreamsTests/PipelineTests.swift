import Compression
import DeliveryTesting
import Destinations
import Foundation
import Platform
import Records
import TestSupport
import Testing

@testable import DeliveryStreams

@Suite(.timeLimit(.minutes(1))) struct PipelineTests {
    private static let failure = DeliveryOutcome.failed(
        DeliveryFailure(code: "S3.AccessDenied", message: "403")
    )

    private func content(_ store: ScriptedStore) -> [UInt8] {
        store.objects.sorted { $0.key < $1.key }.flatMap(\.value)
    }

    @Test(arguments: LogKind.allCases)
    func `a buffer goes out after its interval and not before`(logs: LogKind) async throws {
        let store = ScriptedStore()
        let harness = try await DeliveryHarness(store, logs: logs)
        try await harness.create(interval: 60)
        try await harness.put([[1, 2], [], [3]])
        await harness.time.whenSleepers()
        harness.time.advance(by: .seconds(59))
        #expect(store.puts.isEmpty)
        harness.time.advance(by: .seconds(1))
        await store.whenPuts(1)
        #expect(store.puts[0].content == [1, 2, 3])
        #expect(store.puts[0].plan.key.hasPrefix("2026/07/13/14/s-1-2026-07-13-14-05-06-"))
        await harness.stop()
    }

    @Test(arguments: LogKind.allCases)
    func `a full buffer goes out at once, and objects keep the order`(logs: LogKind) async throws {
        let store = ScriptedStore()
        let harness = try await DeliveryHarness(store, logs: logs)
        try await harness.create(size: 1, interval: 900)
        let records = (0..<50).map { [UInt8](repeating: UInt8($0), count: 100_000) }
        for start in stride(from: 0, to: 50, by: 5) {
            try await harness.put(Array(records[start..<start + 5]))
        }
        await store.whenPuts(4)
        try await harness.whenJournalIsEmpty()
        await harness.time.whenSleepers()
        harness.time.advance(by: .seconds(900))
        await store.whenPuts(5)
        try await harness.whenJournalIsEmpty()
        #expect(content(store) == records.flatMap { $0 })
        #expect(store.objects.values.allSatisfy { $0.count <= 1024 * 1024 })
        await harness.stop()
    }

    @Test(arguments: LogKind.allCases)
    func `a failed delivery is tried again with the same key and bytes`(logs: LogKind) async throws
    {
        let store = ScriptedStore { put, _ in put < 3 ? Self.failure : .delivered }
        let harness = try await DeliveryHarness(store, logs: logs)
        try await harness.create(interval: 0, compression: .gzip)
        try await harness.put([[1, 2, 3]])
        for attempt in 1...3 {
            await store.whenPuts(attempt)
            await harness.time.whenSleepers()
            harness.time.advance(by: .seconds(1))
        }
        await store.whenPuts(4)
        #expect(Set(store.puts.map(\.plan)).count == 1)
        #expect(Set(store.puts.map(\.content)).count == 1)
        try await harness.whenJournalIsEmpty()
        await harness.stop()
    }

    @Test(arguments: LogKind.allCases)
    func `after a restart the journalled key is written again, also if the store had it`(
        logs: LogKind
    ) async throws {
        let broken = ScriptedStore { _, _ in Self.failure }
        let harness = try await DeliveryHarness(broken, logs: logs)
        try await harness.create(interval: 0)
        try await harness.put([[1], [2]])
        await broken.whenPuts(1)
        let plan = broken.puts[0].plan
        let store = ScriptedStore()
        try await harness.restart(store)
        await store.whenPuts(1)
        #expect(store.puts[0].plan == plan)
        #expect(store.puts[0].content == [1, 2])
        try await harness.whenJournalIsEmpty()
        let third = ScriptedStore()
        try await harness.restart(third)
        try await harness.put([[9]])
        await third.whenPuts(1)
        #expect(third.puts.map(\.content) == [[9]])
        await harness.stop()
    }

    @Test(arguments: LogKind.allCases)
    func `records that wait for their buffer are delivered after a restart`(
        logs: LogKind
    ) async throws {
        let store = ScriptedStore()
        let harness = try await DeliveryHarness(store, logs: logs)
        try await harness.create(interval: 300)
        try await harness.put([[1]])
        try await harness.restart(store)
        try await harness.put([[2]])
        await harness.time.whenSleepers()
        harness.time.advance(by: .seconds(300))
        await store.whenPuts(1)
        #expect(store.puts[0].content == [1, 2])
        await harness.stop()
    }

    @Test(arguments: LogKind.allCases)
    func `when its time is up an object is set aside, counted from the first attempt`(
        logs: LogKind
    ) async throws {
        let store = ScriptedStore { _, _ in Self.failure }
        let harness = try await DeliveryHarness(store, retryDuration: .seconds(100), logs: logs)
        try await harness.create(interval: 0)
        try await harness.put([[1, 2, 3]])
        await store.whenPuts(1)
        await harness.time.whenSleepers()
        harness.time.advance(by: .seconds(60))
        await store.whenPuts(2)
        try await harness.restart(store, retryDuration: .seconds(100))
        await store.whenPuts(3)
        await harness.time.whenSleepers()
        harness.time.advance(by: .seconds(40))
        await store.whenPuts(4)
        try await harness.whenJournalIsEmpty()
        let key = store.puts[0].plan.key
        let path = harness.folder("data/set-aside/s/bucket/\(key)")
        #expect(try Folder.readFile(path) == [1, 2, 3])
        await harness.stop()
    }

    @Test(arguments: LogKind.allCases, [25, -25])
    func `a clock that is set gives nothing up, and makes nothing wait`(
        logs: LogKind,
        hours: Int
    ) async throws {
        let store = ScriptedStore { put, _ in put < 3 ? Self.failure : .delivered }
        let harness = try await DeliveryHarness(store, retryDuration: .seconds(100), logs: logs)
        try await harness.create(interval: 60)
        try await harness.put([[1]])
        await harness.time.whenSleepers()
        harness.time.advance(by: .seconds(60))
        await store.whenPuts(1)
        harness.time.set(by: .seconds(3600 * hours))
        await harness.time.whenSleepers()
        harness.time.advance(by: .seconds(1))
        await store.whenPuts(2)
        try await harness.restart(store, retryDuration: .seconds(100))
        await store.whenPuts(3)
        await harness.time.whenSleepers()
        harness.time.advance(by: .seconds(1))
        await store.whenPuts(4)
        #expect(store.objects.values.map(\.self) == [[1]])
        // A record that is put now waits as long as its buffer says.
        try await harness.put([[2]])
        await harness.time.whenSleepers()
        harness.time.advance(by: .seconds(60))
        await store.whenPuts(5)
        await harness.stop()
    }

    @Test(arguments: LogKind.allCases, [-25, 25])
    func `a stream is late by the time that its records wait, not by a clock that is set`(
        logs: LogKind,
        hours: Int
    ) async throws {
        let store = ScriptedStore { _, _ in Self.failure }
        let harness = try await DeliveryHarness(store, logs: logs)
        try await harness.create(interval: 60)
        func late() -> [String] {
            harness.registry.lateStreams(bound: .seconds(300)).map(\.stream)
        }
        try await harness.put([[1]])
        await harness.time.whenSleepers()
        harness.time.set(by: .seconds(3600 * hours))
        #expect(late().isEmpty)
        harness.time.advance(by: .seconds(60))
        await store.whenPuts(1)
        #expect(late().isEmpty)
        // What is behind a buffer on its way began to wait after it.
        try await harness.put([[2]])
        await harness.time.whenSleepers()
        #expect(late().isEmpty)
        await harness.time.whenSleepers()
        harness.time.advance(by: .seconds(301))
        #expect(late() == ["s"])
        await harness.stop()
    }

    @Test(arguments: LogKind.allCases)
    func `what is put while the clock is wrong has that time alone, and order is the numbers'`(
        logs: LogKind
    ) async throws {
        let store = ScriptedStore()
        let harness = try await DeliveryHarness(store, logs: logs)
        try await harness.create(interval: 0)
        // Right, in a future, right again, and back.
        for (number, hours) in [0, 48, -48, -1].enumerated() {
            harness.time.set(by: .seconds(3600 * hours))
            try await harness.put([[UInt8(number)]])
            await store.whenPuts(number + 1)
        }
        let plans = store.puts.map(\.plan)
        #expect(store.puts.map(\.content) == [[0], [1], [2], [3]])
        let hours = plans.map { ($0.arrival - plans[0].arrival) / .seconds(3600) }
        #expect(hours == [0, 48, 0, -1])
        #expect(plans[1].key.hasPrefix("2026/07/15/14/s-1-2026-07-15-14-05-06-"))
        #expect(plans[2].key.hasPrefix("2026/07/13/14/s-1-2026-07-13-14-05-06-"))
        #expect(plans.map(\.uuid) == plans.map(\.uuid).sorted())
        await harness.stop()
    }

    @Test(arguments: LogKind.allCases)
    func `a buffer that is stuck does not hold up the ones behind it`(logs: LogKind) async throws {
        let store = ScriptedStore { _, plan in
            plan.arrival.milliseconds % 1000 == 789 ? Self.failure : .delivered
        }
        let harness = try await DeliveryHarness(store, logs: logs)
        try await harness.create(interval: 0)
        try await harness.put([[1]])
        await store.whenPuts(1)
        await harness.time.whenSleepers()
        harness.time.advance(by: .milliseconds(1))
        try await harness.put([[2]])
        try await harness.whenSettledIsJournalled()
        #expect(Array(store.objects.values) == [[2]])
        // What is delivered is not begun anew by a restart, though the checkpoint is before it.
        let fine = ScriptedStore()
        try await harness.restart(fine)
        try await harness.whenJournalIsEmpty()
        #expect(fine.puts.map(\.content) == [[1]])
        let last = ScriptedStore()
        try await harness.restart(last)
        try await harness.put([[3]])
        await last.whenPuts(1)
        #expect(last.puts.map(\.content) == [[3]])
        await harness.stop()
    }

    @Test func `records put after a crash that cost the log its end are all delivered`()
        async throws
    {
        let broken = ScriptedStore { _, _ in Self.failure }
        let harness = try await DeliveryHarness(broken)
        try await harness.create(interval: 0)
        try await harness.put([[UInt8](repeating: 1, count: 5000)])
        await broken.whenPuts(1)
        await harness.stop()
        let log = harness.folder("data/streams/s.stream/log")
        for name in try Folder.list(log) where name.hasSuffix(".segment") {
            try Folder.remove(log + "/" + name)
        }
        let store = ScriptedStore()
        try await harness.restart(store)
        try await harness.put([[2]])
        await store.whenPuts(1)
        #expect(store.puts.map(\.content) == [[2]])
        await harness.stop()
    }

    @Test func `streams that wait for a place to spool get it while others fail`() async throws {
        let store = ScriptedStore { _, plan in
            plan.key.contains("/ok-") ? .delivered : Self.failure
        }
        let harness = try await DeliveryHarness(store)
        for number in 0..<Limits.maximumSpoolFiles {
            try await harness.create("bad-\(number)", interval: 0)
            try await harness.put([[1]], to: "bad-\(number)")
        }
        await harness.time.whenSleepers(Limits.maximumSpoolFiles)
        try await harness.create("ok", interval: 0)
        try await harness.put([[2]], to: "ok")
        while store.objects.isEmpty {
            harness.time.advance(by: .seconds(1))
            await Task.yield()
        }
        #expect(store.objects.values.first == [2])
        await harness.stop()
    }

    @Test func `damage in the log is set aside and the rest is delivered`() async throws {
        let store = ScriptedStore()
        let harness = try await DeliveryHarness(store)
        try await harness.create(interval: 300)
        for number in 0..<3 {
            try await harness.put([[UInt8](repeating: UInt8(number), count: 100)])
        }
        let log = harness.folder("data/streams/s.stream/log")
        let segment = try #require(try Folder.list(log).first { $0.hasSuffix(".segment") })
        try File(log + "/" + segment, .update).write([0xee], at: 4096 + 168 + 100)
        await harness.time.whenSleepers()
        harness.time.advance(by: .seconds(300))
        await store.whenPuts(1)
        #expect(
            store.puts[0].content == [UInt8](repeating: 0, count: 100)
                + [UInt8](repeating: 2, count: 100)
        )
        #expect(try Folder.list(harness.folder("data/set-aside/s/damaged")).count == 1)
        await harness.stop()
    }
}
