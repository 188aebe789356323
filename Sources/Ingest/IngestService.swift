internal import Compression
internal import Foundation
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import Records
internal import Synchronization

/// How the HTTP server behaves.
package struct IngestOptions: Sendable {
    /// A connection without a request is closed after this.
    package var idleTimeout: Duration
    /// A request must be complete after this.
    package var requestTimeout: Duration
    /// Bytes of request bodies in memory at one time.
    package var maximumBodiesInMemoryBytes: Int
    /// Open connections at one time.
    package var maximumConnections: Int

    /// Options; by default those of `Limits`.
    package init(
        idleTimeout: Duration = .seconds(75),
        requestTimeout: Duration = .seconds(60),
        maximumBodiesInMemoryBytes: Int = Limits.maximumRequestBodiesInMemoryBytes,
        maximumConnections: Int = Limits.maximumConnections
    ) {
        self.idleTimeout = idleTimeout
        self.requestTimeout = requestTimeout
        self.maximumBodiesInMemoryBytes = maximumBodiesInMemoryBytes
        self.maximumConnections = maximumConnections
    }
}

/// A page that is read by GET, without being asked who one is.
package struct StatusPage: Sendable {
    /// What it says now.
    package struct Content: Sendable {
        /// Whether all is well: 200, else 503.
        package var isGood: Bool
        /// The text.
        package var text: String

        /// A page's content.
        package init(isGood: Bool = true, _ text: String) {
            self.isGood = isGood
            self.text = text
        }
    }

    /// Its media type.
    package var contentType: String
    /// Makes it; called for each request.
    package var content: @Sendable () async -> Content

    /// A page.
    package init(contentType: String, content: @escaping @Sendable () async -> Content) {
        self.contentType = contentType
        self.content = content
    }
}

/// What all connections share: where requests go, and the bounds.
final class IngestService: Sendable {
    let appender: any RecordAppender
    let control: ControlPlane
    let options: IngestOptions
    let memory: MemoryBudget
    let dates: HTTPDates
    /// Nil where everybody may do everything.
    let access: AccessControl?
    /// By path.
    let pages: [String: StatusPage]
    let metrics: IngestMetrics
    let logger: Logger

    init(
        appender: any RecordAppender,
        control: ControlPlane,
        access: AccessControl?,
        pages: [String: StatusPage],
        metrics: IngestMetrics,
        time: any TimeSource,
        options: IngestOptions,
        logger: Logger
    ) {
        self.pages = pages
        self.metrics = metrics
        self.appender = appender
        self.control = control
        self.access = access
        self.options = options
        memory = MemoryBudget(bytes: options.maximumBodiesInMemoryBytes)
        dates = HTTPDates(time: time)
        self.logger = logger
    }

    /// Makes an answer where it is called, which is on the connection's own thread.
    typealias AnswerMaker = @Sendable () -> Answer

    /// Begins to authenticate a request by its head; nil where that is not needed.
    func authentication(of head: HTTPRequestHead) -> RequestAuthentication? {
        guard let access, head.method == .POST else { return nil }
        return RequestAuthentication(head, access)
    }

    /// Answers a whole request: calls `done` once, on any thread.
    func answer(
        _ head: HTTPRequestHead,
        _ body: ByteBuffer?,
        _ caller: Result<AccessControl.Caller?, FirehoseError>,
        _ allocator: ByteBufferAllocator,
        done: @escaping @Sendable (@escaping AnswerMaker) -> Void
    ) {
        switch place(of: head) {
        case .page(let page): return answer(page, allocator, done)
        case .nowhere(let status, let methods):
            var answer = answer(status, allocator)
            answer.allowedMethods = methods
            return done({ [answer] in answer })
        case .interface: break
        }
        let target = Result { () throws(FirehoseError) in
            try Operation(target: head.headers.first(name: "x-amz-target"))
        }
        let operation = try? target.get()
        let done = { @Sendable [metrics] (maker: @escaping AnswerMaker) in
            done({
                let answer = maker()
                metrics.answered(operation, code: answer.errorCode)
                return answer
            })
        }
        do throws(FirehoseError) {
            if case .failure(let error) = caller { logRefused(error, operation) }
            let caller = try caller.get()
            let operation = try target.get()
            let body = try unpacked(body ?? ByteBuffer(), head)
            switch operation {
            case .putRecord: try put(body, .putRecord, caller, allocator, done)
            case .putRecordBatch: try put(body, .putRecordBatch, caller, allocator, done)
            default:
                guard body.readableBytes <= Limits.maximumControlBodyBytes else {
                    throw FirehoseError(
                        .requestEntityTooLarge,
                        "\(operation.rawValue) takes at most "
                            + "\(Limits.maximumControlBodyBytes) bytes."
                    )
                }
                callControlPlane(operation, Array(body.readableBytesView), caller, allocator, done)
            }
        } catch {
            done({ Answer(error, allocator) })
        }
    }

    /// What a request is for.
    private enum Place {
        case interface
        case page(StatusPage)
        /// Where the method is wrong, with those that are right.
        case nowhere(HTTPResponseStatus, methods: String?)
    }

    private func place(of head: HTTPRequestHead) -> Place {
        let path = Self.target(head.uri).utf8.prefix { $0 != UInt8(ascii: "?") }
        if path.count > 1, let page = pages[String(Substring(path))] {
            let isRead = head.method == .GET || head.method == .HEAD
            return isRead ? .page(page) : .nowhere(.methodNotAllowed, methods: "GET, HEAD")
        }
        guard path.elementsEqual("/".utf8) || path.isEmpty else {
            return .nowhere(.notFound, methods: nil)
        }
        return head.method == .POST ? .interface : .nowhere(.methodNotAllowed, methods: "POST")
    }

    private func answer(
        _ page: StatusPage,
        _ allocator: ByteBufferAllocator,
        _ done: @escaping @Sendable (@escaping AnswerMaker) -> Void
    ) {
        Task {
            let content = await page.content()
            done({
                var answer = Answer(json: Array(content.text.utf8), allocator)
                answer.contentType = page.contentType
                if !content.isGood { answer.status = .serviceUnavailable }
                return answer
            })
        }
    }

    /// Path and query of a target in origin or absolute form (RFC 9112, section 3.2).
    static func target(_ uri: String) -> Substring {
        let bytes = uri.utf8
        let slash = UInt8(ascii: "/")
        guard bytes.first != slash, let colon = bytes.firstIndex(of: UInt8(ascii: ":")),
            bytes[colon...].starts(with: "://".utf8)
        else { return uri[...] }
        let rest = bytes[bytes.index(colon, offsetBy: 3)...]
        return uri[(rest.firstIndex { $0 == slash || $0 == UInt8(ascii: "?") } ?? rest.endIndex)...]
    }

    private func answer(_ status: HTTPResponseStatus, _ allocator: ByteBufferAllocator) -> Answer {
        var answer = Answer(
            FirehoseError(
                .unknownOperation,
                "This is the Firehose API: point an SDK's endpoint URL here. See also /health, /ready "
                    + "and /metrics."
            ),
            allocator
        )
        answer.status = status
        return answer
    }

    private func unpacked(
        _ body: ByteBuffer,
        _ head: HTTPRequestHead
    ) throws(FirehoseError)
        -> ByteBuffer
    {
        guard let encoding = head.headers.first(name: "content-encoding"),
            !encoding.isASCII("identity")
        else { return body }
        guard encoding.isASCII("gzip") else {
            throw FirehoseError(
                .serialization,
                "The Content-Encoding \(encoding.unicodeScalarPrefix(64)) is not supported; use gzip."
            )
        }
        let result = body.withUnsafeReadableBytes { bytes in
            Result { () throws(Gunzip.Failure) in
                try Gunzip.unpack(bytes, maximumBytes: Limits.maximumRequestBodyBytes)
            }
        }
        switch result {
        case .success(let bytes): return ByteBuffer(bytes: bytes)
        case .failure(.malformed):
            throw FirehoseError(.serialization, "The request body is not whole gzip data.")
        case .failure(.tooLarge):
            throw FirehoseError(
                .requestEntityTooLarge,
                "The request body unpacks to more than \(Limits.maximumRequestBodyBytes) bytes."
            )
        }
    }

    // MARK: Puts

    private func put(
        _ body: ByteBuffer,
        _ operation: PutOperation,
        _ caller: AccessControl.Caller?,
        _ allocator: ByteBufferAllocator,
        _ done: @escaping @Sendable (@escaping AnswerMaker) -> Void
    ) throws(FirehoseError) {
        let put = try PutBodyScanner.scan(body.readableBytesUInt8Span, operation)
        try caller?.check(
            operation == .putRecord ? .putRecord : .putRecordBatch,
            on: put.streamName
        )
        let count = put.batch.recordCount
        let isLogged = logger.logLevel <= .debug
        let stream = isLogged ? put.streamName : ""
        appender.append(put.batch, toStream: put.streamName, by: operation) { result in
            done({
                var answer =
                    switch (result, operation) {
                    case (.success(let receipt), .putRecord): Answer(record: receipt, allocator)
                    case (.success(let receipt), .putRecordBatch):
                        Answer(batch: receipt, requested: count, allocator)
                    case (.failure(let error), .putRecordBatch)
                    where error.code == .serviceUnavailable:
                        Answer(failedBatch: error, count: count, allocator)
                    case (.failure(let error), _): Answer(error, allocator)
                    }
                if isLogged, case .success(let receipt) = result {
                    answer.put = (stream, receipt)
                }
                return answer
            })
        }
    }

    /// Says that somebody is not let in; the handler keeps this from flooding the log.
    private func logRefused(_ error: FirehoseError, _ operation: Operation?) {
        logger.warning(
            "a request is refused",
            metadata: [
                "code": "\(error.code.rawValue)",
                "operation": "\(operation?.rawValue ?? "unknown")",
                "reason": "\(error.message)",
            ]
        )
    }

    /// Counts an answer to a request that was not read to its end.
    func count(_ answer: Answer, to head: HTTPRequestHead) {
        guard case .interface = place(of: head) else { return }
        let operation = try? Operation(target: head.headers.first(name: "x-amz-target"))
        metrics.answered(operation, code: answer.errorCode)
    }

    /// Says what became of a request, with the ids that its client has.
    func log(_ answer: Answer, _ requestID: String) {
        var facts: Logger.Metadata = [
            "request_id": "\(requestID)", "status": "\(answer.status.code)",
        ]
        if let code = answer.errorCode { facts["code"] = "\(code)" }
        guard let (stream, receipt) = answer.put, receipt.recordCount > 0 else {
            return logger.debug("answered", metadata: facts)
        }
        facts["stream"] = "\(stream)"
        facts["records"] = "\(receipt.recordCount)"
        let first = receipt.number(ofRecord: 0)
        let last = receipt.number(ofRecord: receipt.recordCount - 1)
        facts["first_record_id"] = "\(RecordID(logIdentity: receipt.logIdentity, number: first))"
        facts["last_record_id"] = "\(RecordID(logIdentity: receipt.logIdentity, number: last))"
        logger.debug("put", metadata: facts)
    }

    private func callControlPlane(
        _ operation: Operation,
        _ body: [UInt8],
        _ caller: AccessControl.Caller?,
        _ allocator: ByteBufferAllocator,
        _ done: @escaping @Sendable (@escaping AnswerMaker) -> Void
    ) {
        let began = ContinuousClock.now
        Task {
            defer { metrics.took(operation, began.duration(to: .now)) }
            do throws(FirehoseError) {
                let json = try await control.answer(operation, body) {
                    stream throws(FirehoseError) in
                    try caller?.check(operation, on: stream)
                }
                done({ Answer(json: json, allocator) })
            } catch {
                done({ Answer(error, allocator) })
            }
        }
    }
}

/// The `Date` header, made once a second.
final class HTTPDates: Sendable {
    private let time: any TimeSource
    private let current = Mutex<(second: Int64, text: String)>((.min, ""))

    init(time: any TimeSource) { self.time = time }

    /// RFC 9110, section 5.6.7: IMF-fixdate.
    func now() -> String {
        let now = time.now()
        return current.withLock { current in
            if current.second == now.seconds { return current.text }
            let text = CivilTime(now).fixdate
            current = (now.seconds, text)
            return text
        }
    }
}
