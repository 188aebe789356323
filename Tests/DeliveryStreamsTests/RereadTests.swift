import DeliveryTesting
import Destinations
import Foundation
import Glibc
import JSON
import Platform
import Records
import Synchronization
import TestSupport
import Testing

@testable import DeliveryStreams

/// A part of a buffer is read anew for each attempt: what could be read before may be lost by then, and what
/// could not be may be there.
@Suite(.timeLimit(.minutes(1))) struct RereadTests {
    /// Fails the first attempt, and takes the second.
    private final class Destination: RecordDestination, RecordDestinationFactory {
        let requestLimits = RequestLimits(dataBytes: 1_000_000, records: 1000)
        let retryRules = RetryRules(
            duration: .seconds(3600),
            clock: .firstAttempt,
            delays: RetryDelays(base: .seconds(1), cap: .seconds(1), jitter: .about(0)),
            lookDuration: .seconds(60)
        )
        let errorOutputType = ErrorOutputType.httpEndpointFailed
        private let sent = Mutex<[[UInt8]]>([])
        private let requests = AsyncStream.makeStream(of: Void.self)

        func make(
            _ configuration: DestinationConfiguration,
            stream: String
        ) throws(FirehoseError) -> any RecordDestination {
            self
        }

        /// The first byte of each record, by request.
        var all: [[UInt8]] { sent.withLock { $0 } }

        func whenRequests(_ count: Int) async {
            for await _ in requests.stream where all.count >= count { return }
        }

        func refusals(of records: DeliveryRecords) -> [Int: DeliveryFailure] { [:] }

        func send(_ records: DeliveryRecords, _ items: [Int]) async throws -> DeliveryAnswer {
            let firsts = items.map { records.data(of: records.items[$0])[0] }
            let isFirst = sent.withLock { sent in
                sent.append(firsts)
                return sent.count == 1
            }
            defer { requests.continuation.yield() }
            let failure = DeliveryFailure(code: "Later", message: "later")
            return DeliveryAnswer(fates: items.map { _ in isFirst ? .failed(failure) : .delivered })
        }

        func reach() async throws -> Reach { .reached("") }

        func failureMembers(
            of item: DeliveryRecords.Item,
            in records: DeliveryRecords
        ) -> (
            before: [(name: String, value: JSONValue)], after: [(name: String, value: JSONValue)]
        ) {
            ([], [])
        }
    }

    @Test(arguments: [false, true])
    func `records are sent by their numbers, whatever of their part can be read`(
        wasDamaged: Bool
    ) async throws {
        let destination = Destination()
        let store = ScriptedStore()
        let harness = try DeliveryHarness(.init(store: store, recordDestinations: destination))
        let bucket: JSONValue = [
            "RoleARN": "arn:aws:iam::000000000000:role/r", "BucketARN": "arn:aws:s3:::bucket",
        ]
        try await harness.create(
            "s",
            DestinationConfiguration(
                kind: .httpEndpoint,
                members: [
                    "EndpointConfiguration": ["Url": "http://127.0.0.1:1"],
                    "BufferingHints": ["SizeInMBs": 1, "IntervalInSeconds": 60],
                    "S3Configuration": bucket,
                ]
            )
        )
        // A frame of two pages each, behind a page of the segment's own.
        for number in 0..<5 {
            try await harness.put([[UInt8](repeating: UInt8(number), count: 8192 - 64 - 4)])
        }
        let isDamaged = Atomic(wasDamaged)
        let page: UInt64 = 4096 * (1 + 2 * 2)
        let fault = SystemFaults.install(below: harness.folder("data")) { call, path, bytes in
            guard call == .read, path.hasSuffix(".segment"), isDamaged.load(ordering: .relaxed),
                let bytes, bytes.overlaps(page..<page + 4096)
            else { return nil }
            return EIO
        }
        defer { fault.remove() }
        await harness.time.whenSleepers()
        harness.time.advance(by: .seconds(60))
        await destination.whenRequests(1)
        isDamaged.store(!wasDamaged, ordering: .relaxed)
        await harness.time.whenSleepers()
        harness.time.advance(by: .seconds(1))
        try await harness.whenJournalIsEmpty()
        let without: [UInt8] = [0, 1, 3, 4]
        #expect(
            destination.all == (wasDamaged ? [without, without] : [[0, 1, 2, 3, 4], without])
        )
        await harness.stop()
    }
}
