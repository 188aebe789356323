import FirehoseAPI
import HTTPServer
import Logging
import NIOCore
import Records
import TestSupport
import Testing

/// What the server refuses itself, on the wire.
@Suite struct RefusalTests {
    @Test(
        arguments: [
            (
                .bodyTooLarge(maximumBytes: 7), 413,
                #"{"__type":"RequestEntityTooLargeException","message":"The request body has more "#
                    + #"than 7 bytes."}"#
            ),
            (
                .timedOut, 408,
                #"{"__type":"RequestTimeout","message":"The request was not complete in time."}"#
            ),
            (
                .unauthenticated(code: "ExpiredTokenException", message: #"so "what""#), 400,
                #"{"__type":"ExpiredTokenException","message":"so \"what\""}"#
            ),
            (.notFound, 404, pointer), (.methodNotAllowed, 405, pointer),
        ] as [(HTTPRefusal, Int, String)]
    )
    func `each refusal is an error of the JSON protocol`(
        refusal: HTTPRefusal,
        status: Int,
        body: String
    ) {
        let backend = FakeBackend()
        let service = FirehoseService(
            backend.all,
            time: SystemTime(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
        let answer = service.answer(to: refusal, of: nil, ByteBufferAllocator())
        #expect(answer.status == status)
        #expect(answer.contentType == "application/x-amz-json-1.1")
        #expect(String(buffer: answer.body) == body)
    }

    private static let pointer =
        #"{"__type":"UnknownOperationException","message":"This is the Firehose API: point an SDK's "#
        + #"endpoint URL here. See also /health, /ready and /metrics."}"#
}
