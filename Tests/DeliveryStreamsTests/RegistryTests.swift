import DeliveryTesting
import Destinations
import Foundation
import JSON
import Platform
import Records
import TestSupport
import Testing

@testable import DeliveryStreams

@Suite(.timeLimit(.minutes(1))) struct RegistryTests {
    @Test(arguments: LogKind.allCases)
    func `streams are listed in order, in pages, and survive a restart`(logs: LogKind) async throws
    {
        let harness = try await DeliveryHarness(ScriptedStore(), logs: logs)
        for name in ["c", "a", ".deleting-a", "b", "A"] { try await harness.create(name) }
        #expect(harness.registry.list(after: nil, limit: 2) == ([".deleting-a", "A"], true))
        #expect(harness.registry.list(after: "A", limit: 3) == (["a", "b", "c"], false))
        try await harness.restart(ScriptedStore())
        #expect(
            harness.registry.list(after: nil, limit: 10).names == [
                ".deleting-a", "A", "a", "b", "c",
            ]
        )
        #expect(try harness.registry.describe("a").stream.version == 1)
        await harness.stop()
    }

    @Test(
        arguments: [
            (EMFILE, "could not be stored: the server has reached its limit on open files."),
            (ENOSPC, "could not be stored: the server's disk is full."),
            (EIO, "could not be stored."),
        ]
    )
    func `what the storage refuses is refused with its reason`(
        code: Int32,
        words: String
    ) async throws {
        let harness = try await DeliveryHarness(ScriptedStore())
        try await harness.create("there")
        let fault = SystemFaults.install(below: harness.folder("data")) { call, path, _ in
            call == .open && path.contains("stream.json") ? code : nil
        }
        defer { fault.remove() }
        let refused = await #expect(throws: FirehoseError.self) {
            try await harness.create("new")
        }
        #expect(refused?.code == .serviceUnavailable)
        #expect(refused?.message == "The stream new \(words)")
        let unchanged = await #expect(throws: FirehoseError.self) {
            try await harness.registry.update("there") { $0.version += 1 }
        }
        #expect(unchanged?.message == "The change of the stream there \(words)")
        await harness.stop()
    }

    @Test func `a stream without a bucket for its failed records is refused by name`() async throws
    {
        let harness = try await DeliveryHarness(ScriptedStore())
        let endpoint = DestinationConfiguration(
            kind: .httpEndpoint,
            members: ["EndpointConfiguration": ["Url": "http://127.0.0.1:1"]]
        )
        let error = await #expect(throws: FirehoseError.self) {
            try await harness.create("s", endpoint)
        }
        #expect(error?.code == .invalidArgument)
        #expect(
            error?.message
                == "HttpEndpointDestinationConfiguration.S3Configuration must be specified"
        )
        await harness.stop()
    }

    @Test(arguments: LogKind.allCases)
    func `any name that the API allows keeps its records over a restart`(logs: LogKind) async throws
    {
        let names = ["..", ".", ".deleting-x", ".creating-a", "a.stream", "creating-a"]
        let harness = try await DeliveryHarness(ScriptedStore(), logs: logs)
        for name in names {
            try await harness.create(name, interval: 300)
            try await harness.put([Array(name.utf8)], to: name)
        }
        let store = ScriptedStore()
        try await harness.restart(store)
        await harness.time.whenSleepers(names.count)
        harness.time.advance(by: .seconds(300))
        await store.whenPuts(names.count)
        #expect(
            Set(store.puts.map { String(decoding: $0.content, as: UTF8.self) }) == Set(names)
        )
        await harness.stop()
    }

    @Test(arguments: LogKind.allCases)
    func `a name is taken once, and its twin is refused in AWS's words`(logs: LogKind) async throws
    {
        let harness = try await DeliveryHarness(ScriptedStore(), logs: logs)
        try await harness.create("s")
        await #expect(
            throws: FirehoseError(
                .resourceInUse,
                "Firehose s under accountId 000000000000 already exists"
            )
        ) { try await harness.create("s") }
        await harness.stop()
    }

    @Test(arguments: LogKind.allCases)
    func `deleting removes the files and what is pending, and the name is free again`(
        logs: LogKind
    ) async throws {
        let store = ScriptedStore { _, _ in
            .failed(DeliveryFailure(code: "S3.Unreachable", message: ""))
        }
        let harness = try await DeliveryHarness(store, logs: logs)
        try await harness.create("s", interval: 0)
        try await harness.put([[1]])
        await store.whenPuts(1)
        try await harness.put([[2]])
        try await harness.registry.delete("s")
        #expect(try Folder.list(harness.folder("data/streams")).isEmpty)
        await #expect(throws: FirehoseError.notFound("s", account: "000000000000")) {
            try await harness.put([[3]])
        }
        try await harness.create("s", interval: 300)
        try await harness.put([[4]])
        let other = ScriptedStore()
        try await harness.restart(other)
        await harness.time.whenSleepers()
        harness.time.advance(by: .seconds(300))
        await other.whenPuts(1)
        #expect(other.puts.map(\.content) == [[4]])
        await harness.stop()
    }

    @Test func `what a crash left half created or half deleted is gone after the next start`()
        async throws
    {
        let harness = try await DeliveryHarness(ScriptedStore())
        try Folder.create(harness.folder("data/unfinished/creating-x"))
        try Folder.create(harness.folder("data/unfinished/deleting-y/log"))
        try await harness.restart(ScriptedStore())
        #expect(try Folder.list(harness.folder("data/unfinished")).isEmpty)
        await harness.stop()
    }

    @Test func `a second server on the folder is refused and told who has it`() async throws {
        let harness = try await DeliveryHarness(ScriptedStore())
        #expect {
            try DataFolder(harness.folder("data"))
        } throws: { error in
            "\(error)".contains("in use by process \(ProcessInfo.processInfo.processIdentifier)")
        }
        await harness.stop()
        _ = try DataFolder(harness.folder("data"))
    }

    @Test(
        arguments: [
            ("a!{timestamp:yyyy}", nil, "ErrorOutputPrefix cannot be null"),
            ("a", "b!{timestamp:yyyy}/", "must contain !{firehose:error-output-type}"),
            (String(repeating: "x", count: 513), nil, "more than 512"),
        ] as [(String, String?, String)]
    )
    func `prefixes that do not go together are refused`(
        prefix: String,
        errorPrefix: String?,
        reason: String
    ) async throws {
        let harness = try await DeliveryHarness(ScriptedStore())
        let destination = S3Destination(
            bucketARN: "arn:aws:s3:::b",
            prefix: prefix,
            errorOutputPrefix: errorPrefix
        )
        let stream = DeliveryStream(
            name: "s",
            createTimestamp: harness.time.now(),
            destination: .s3(destination)
        )
        await #expect {
            try await harness.registry.create(stream)
        } throws: { error in
            "\(error)".contains(reason)
        }
        await harness.stop()
    }

    @Test func `configurations of the first format are read as they were meant`() throws {
        let folder = TemporaryFolder()
        let old = #"""
            {"version":1,"stream":{"name":"old","source":"DirectPut","version":3,
            "createTimestamp":1000,"lastUpdateTimestamp":2000,"destinationShape":"ExtendedS3",
            "throughputHintInMBs":7,"tags":[{"Key":"b"},{"Key":"a","Value":"1"}],
            "destination":{"roleARN":"arn:aws:iam::1:role/r","bucketARN":"arn:aws:s3:::b",
            "prefix":"p/","bufferingHints":{"SizeInMBs":9,"IntervalInSeconds":77},
            "compressionFormat":"GZIP","kmsKeyARN":"arn:aws:kms:r:1:key/k","fileExtension":".x",
            "cloudWatchLogging":{"enabled":true,"logGroupName":"g"}}}}
            """#
        try Folder.replaceFile(folder("stream.json"), with: Array(old.utf8))
        let stream = try StreamFile.load(folder.path)
        #expect(stream.version == 3)
        #expect(stream.throughputHintInMBs == 7)
        #expect(stream.lastUpdateTimestamp == Timestamp(milliseconds: 2000))
        #expect(stream.tags.map(\.key) == ["a", "b"])
        let s3 = try #require(try stream.destination.s3)
        #expect(
            s3
                == S3Destination(
                    bucketARN: "arn:aws:s3:::b",
                    prefix: "p/",
                    bufferingHints: BufferingHints(sizeInMBs: 9, intervalInSeconds: 77),
                    compressionFormat: .gzip,
                    kmsKeyARN: "arn:aws:kms:r:1:key/k",
                    fileExtension: ".x",
                    customTimeZone: "UTC"
                )
        )
        let logging: JSONValue = ["Enabled": true, "LogGroupName": "g"]
        #expect(stream.destination.members["CloudWatchLoggingOptions"] == logging)
        try StreamFile.store(stream, folder.path)
        #expect(try StreamFile.load(folder.path) == stream)
        try Folder.replaceFile(folder("stream.json"), with: Array(#"{"version":3}"#.utf8))
        #expect(throws: StreamFile.Failure.self) { try StreamFile.load(folder.path) }
    }
}
