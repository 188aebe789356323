import Egress
import FirehoseAPI
import Foundation
import HTTPServer
import Logging
import Records
import Synchronization
import TestSupport

/// Takes puts without a disk, and answers as a test says.
final class FakeBackend: RecordAppender, DeliveryStreamRegistry {
    let identity = ServiceIdentity(region: "us-east-1", account: "000000000000")
    private let state = Mutex(
        (
            batches: [RecordBatch](), streams: [String: DeliveryStream](),
            refusal: FirehoseError?.none
        )
    )

    /// All that the API needs.
    var all: FirehoseService.Backend { .init(appender: self, registry: self) }

    var batches: [RecordBatch] { state.withLock { $0.batches } }

    func refuse(with error: FirehoseError?) { state.withLock { $0.refusal = error } }

    func append(
        _ batch: RecordBatch,
        toStream name: String,
        by operation: PutOperation,
        completion: @escaping @Sendable (Result<AppendReceipt, FirehoseError>) -> Void
    ) {
        let refusal = state.withLock { state in
            if state.refusal == nil { state.batches.append(batch) }
            return state.refusal
        }
        // On another thread, as the log does.
        DispatchQueue.global().async {
            completion(
                refusal.map { .failure($0) }
                    ?? .success(
                        AppendReceipt(
                            generation: 0xabc,
                            runs: [.init(first: 0x10, count: batch.recordCount)]
                        )
                    )
            )
        }
    }

    func check(_ stream: DeliveryStream) throws(FirehoseError) {}

    func create(_ stream: DeliveryStream) async throws(FirehoseError) {
        state.withLock { $0.streams[stream.name] = stream }
    }

    func update(
        _ name: String,
        _ change: @escaping @Sendable (inout DeliveryStream) throws(FirehoseError) -> Void
    ) async throws(FirehoseError) {
        var stream = try describe(name).stream
        try change(&stream)
        let changed = stream
        state.withLock { $0.streams[name] = changed }
    }

    func startEncryption(
        _ name: String,
        _ encryption: StreamEncryption
    ) async throws(FirehoseError) {
        try await update(name) { $0.encryption = encryption }
    }

    func stopEncryption(_ name: String) async throws(FirehoseError) {
        try await update(name) { $0.encryption = nil }
    }

    func describe(_ name: String) throws(FirehoseError) -> DescribedStream {
        guard let stream = state.withLock({ $0.streams[name] }) else {
            throw .notFound(name, account: identity.account)
        }
        return DescribedStream(stream, .active)
    }

    func list(after start: String?, limit: Int) -> (names: [String], hasMore: Bool) {
        let names = state.withLock { $0.streams.keys.sorted() }.filter { $0 > start ?? "" }
        return (Array(names.prefix(limit)), names.count > limit)
    }

    func delete(_ name: String) async throws(FirehoseError) {
        state.withLock { $0.streams[name] = nil }
    }
}

/// A running server on a free port, and a client.
func withServer(
    _ body: (_ backend: FakeBackend, _ port: Int, _ client: HTTPClient) async throws -> Void
) async throws {
    let backend = FakeBackend()
    let (ports, port) = AsyncStream.makeStream(of: Int.self)
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    let server = HTTPServer(
        HTTPServerConfiguration(host: "127.0.0.1", port: 0, time: SystemTime(), logger: logger),
        services: [FirehoseService(backend.all, time: SystemTime(), logger: logger)]
    ) { _, number in port.yield(number) }
    let running = Task { try await server.run() }
    let client = HTTPClient()
    for await number in ports {
        try await body(backend, number, client)
        break
    }
    client.shutDown()
    running.cancel()
    try await running.value
}
