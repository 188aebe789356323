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
    /// Its media type.
    package var contentType: String
    /// Makes it; called on a connection's thread.
    package var content: @Sendable () -> String

    /// A page.
    package init(contentType: String, content: @escaping @Sendable () -> String) {
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
    let logger: Logger

    init(
        appender: any RecordAppender,
        control: ControlPlane,
        access: AccessControl?,
        pages: [String: StatusPage],
        time: any TimeSource,
        options: IngestOptions,
        logger: Logger
    ) {
        self.pages = pages
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
        do throws(FirehoseError) {
            if let answer = try plainAnswer(head, allocator) { return done({ answer }) }
            let caller = try caller.get()
            let operation = try Operation(target: head.headers.first(name: "x-amz-target"))
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

    /// What is not a call of the API: health, and what is in the wrong place.
    private func plainAnswer(
        _ head: HTTPRequestHead,
        _ allocator: ByteBufferAllocator
    )
        throws(FirehoseError) -> Answer?
    {
        let path = Self.target(head.uri).utf8.prefix { $0 != UInt8(ascii: "?") }
        if path.count > 1, let page = pages[String(Substring(path))] {
            guard head.method == .GET || head.method == .HEAD else {
                return answer(.methodNotAllowed, allocator)
            }
            var answer = Answer(json: Array(page.content().utf8), allocator)
            answer.contentType = page.contentType
            return answer
        }
        guard path.elementsEqual("/".utf8) || path.isEmpty else {
            return answer(.notFound, allocator)
        }
        guard head.method == .POST else { return answer(.methodNotAllowed, allocator) }
        return nil
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
            FirehoseError(.unknownOperation, "This is the Firehose API: POST / it is."),
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
        _ operation: PutBodyScanner.Operation,
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
        appender.append(put.batch, toStream: put.streamName) { result in
            done({
                switch (result, operation) {
                case (.success(let receipt), .putRecord): Answer(record: receipt, allocator)
                case (.success(let receipt), .putRecordBatch):
                    Answer(batch: receipt, requested: count, allocator)
                case (.failure(let error), .putRecordBatch)
                where error.code == .serviceUnavailable:
                    Answer(failedBatch: error, count: count, allocator)
                case (.failure(let error), _): Answer(error, allocator)
                }
            })
        }
    }

    private func callControlPlane(
        _ operation: Operation,
        _ body: [UInt8],
        _ caller: AccessControl.Caller?,
        _ allocator: ByteBufferAllocator,
        _ done: @escaping @Sendable (@escaping AnswerMaker) -> Void
    ) {
        Task {
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
            let civil = CivilTime(now)
            let days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
            let months = [
                "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
            ]
            let clock = [civil.hour, civil.minute, civil.second]
                .map { CivilTime.padded($0, 2) }.joined(separator: ":")
            let text =
                "\(days[civil.weekday - 1]), \(CivilTime.padded(civil.day, 2)) "
                + "\(months[civil.month - 1]) \(civil.year) \(clock) GMT"
            current = (now.seconds, text)
            return text
        }
    }
}
