import Destinations
import Foundation
import Platform
import Records
import TestSupport
import Testing

@Suite struct LocalBucketStoreTests {
    private let folder = TemporaryFolder()

    private func plan(_ key: String) throws -> ObjectPlan {
        var generator = SystemRandomNumberGenerator()
        var plan = ObjectPlan(
            stream: "s",
            version: 1,
            sequence: 1,
            arrival: Timestamp(milliseconds: 0),
            destination: S3Destination(bucketARN: "arn:aws:s3:::bucket"),
            template: try KeyTemplate("", as: .prefix),
            generator: &generator
        )
        plan.key = key
        return plan
    }

    private func object(_ bytes: [UInt8]) throws -> SpooledObject {
        let file = try File(folder("spool"), .replace)
        try file.write(bytes, at: 0)
        return SpooledObject(content: file, byteCount: UInt64(bytes.count), sha256: [])
    }

    @Test func `an object lies under its key, whole, and replaces an older one`() async throws {
        let threads = WorkerThreads(count: 1)
        defer { threads.close() }
        let store = try LocalBucketStore(folder: folder("buckets"), threads: threads)
        let content = [UInt8](repeating: 9, count: 3_000_000)
        let plan = try plan("a/b c/ü.gz")
        #expect(try await store.put(object([1]), as: plan) == .delivered)
        #expect(try await store.put(object(content), as: plan) == .delivered)
        #expect(try Folder.readFile(folder("buckets/bucket/a/b c/ü.gz")) == content)
        #expect(try Folder.list(folder("buckets/.incoming")).isEmpty)
    }

    @Test func `no key leads out of its bucket`() {
        #expect(
            LocalBucketStore.path(bucket: "b", key: "../../etc/./x//y")
                == "b/%2E%2E/%2E%2E/etc/%2E/x/%/y"
        )
    }

    @Test func `a name that no file system holds is shortened, and stays told apart`() {
        let long = String(repeating: "ü", count: 300)
        let first = LocalBucketStore.pathComponent("a" + long + "-uuid.gz")
        let second = LocalBucketStore.pathComponent("b" + long + "-uuid.gz")
        #expect(first.utf8.count <= 255 && first.hasSuffix("-uuid.gz"))
        #expect(first != second)
    }

    @Test func `what cannot be written is a failure that says why`() async throws {
        let threads = WorkerThreads(count: 1)
        defer { threads.close() }
        let store = try LocalBucketStore(folder: folder("buckets"), threads: threads)
        try Folder.replaceFile(folder("buckets/bucket"), with: [])
        let outcome = try await store.put(
            object([1]),
            as: plan("a/b")
        )
        guard case .failed(let failure) = outcome else {
            Issue.record("a file stands where the bucket should be")
            return
        }
        #expect(failure.code == "LocalBucket.Error")
        #expect(failure.message.contains("Not a directory"))
    }
}
