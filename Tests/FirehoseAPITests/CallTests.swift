import FirehoseAPI
import Logging
import NIOCore
import NIOHTTP1
import Records
import TestSupport
import Testing

@testable import HTTPServer

/// Requests as the server hands them on, without a connection.
@Suite struct CallTests {
    private static let put = #"{"DeliveryStreamName":"s","Record":{"Data":"aGk="}}"#

    private static func service(_ backend: FakeBackend) -> FirehoseService {
        FirehoseService(
            backend.all,
            time: SystemTime(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
    }

    private static func head(_ target: String?, encoding: String? = nil) -> RequestHead {
        var headers = HTTPHeaders()
        if let target { headers.add(name: "X-Amz-Target", value: target) }
        if let encoding { headers.add(name: "Content-Encoding", value: encoding) }
        return RequestHead(
            HTTPRequestHead(version: .http1_1, method: .POST, uri: "/", headers: headers)
        )
    }

    private static func answer(
        _ head: RequestHead,
        _ body: String,
        by caller: Caller = .anyone,
        _ backend: FakeBackend = FakeBackend()
    ) async -> (status: Int, body: String) {
        let request = ReceivedRequest(
            head: head,
            body: ByteBuffer(string: body),
            caller: caller,
            allocator: ByteBufferAllocator()
        )
        let maker = await withCheckedContinuation { continuation in
            service(backend).answer(request) { continuation.resume(returning: $0) }
        }
        let answer = maker()
        return (answer.status, String(buffer: answer.body))
    }

    @Test(arguments: [("PutRecord", put, "s"), ("ListDeliveryStreams", "{}", "*")])
    func `a caller does what a policy allows, and nothing else`(
        operation: String,
        body: String,
        stream: String
    ) async {
        var policy = AccessPolicy()
        policy.allow(
            [ActionPattern("firehose:Describe*")],
            of: FirehoseService.actions,
            streams: ["*"]
        )
        let backend = FakeBackend()
        let head = Self.head("Firehose_20150804.\(operation)")
        let caller = Caller(accessKeyID: "AKID", policy: policy)
        let (status, text) = await Self.answer(head, body, by: caller, backend)
        #expect(status == 400)
        #expect(
            text == #"{"__type":"AccessDeniedException","message":"User: "#
                + "arn:aws:iam::000000000000:user/AKID is not authorized to perform: "
                + "firehose:\(operation) on resource: arn:aws:firehose:us-east-1:000000000000:"
                + "deliverystream/\(stream) because no identity-based policy allows the "
                + #"firehose:\#(operation) action"}"#
        )
        #expect(backend.batches.isEmpty)
        policy.allow(
            [ActionPattern("firehose:\(operation)")],
            of: FirehoseService.actions,
            streams: ["*"]
        )
        let allowed = Caller(accessKeyID: "AKID", policy: policy)
        #expect(await Self.answer(head, body, by: allowed, backend).status == 200)
    }

    @Test(
        arguments: [
            ("Firehose_20150804.PutRecord", true, "PutRecord"),
            ("Firehose_20150804.Nothing", true, nil),
            ("Hydrant_20261121.TailDeliveryStream", true, "TailDeliveryStream"),
            ("Kinesis_20131202.PutRecord", false, nil), ("", false, nil), (nil, false, nil),
        ] as [(String?, Bool, String?)]
    )
    func `requests are claimed by their target`(target: String?, isOurs: Bool, operation: String?) {
        let service = Self.service(FakeBackend())
        #expect(service.claims(Self.head(target)) == isOurs)
        #expect(service.operationName(of: Self.head(target)) == operation)
    }

    @Test func `an operation that is not known comes before a body that cannot be read`() async {
        let unknown = await Self.answer(Self.head("X.Y", encoding: "br"), "")
        #expect(unknown.body.contains("UnknownOperationException"))
        let packed = await Self.answer(Self.head("Firehose_20150804.PutRecord", encoding: "br"), "")
        #expect(
            packed.body
                == #"{"__type":"SerializationException","message":"The Content-Encoding br is not "#
                + #"supported; use gzip."}"#
        )
        let broken = await Self.answer(
            Self.head("Firehose_20150804.ListDeliveryStreams", encoding: "GZIP"),
            "{}"
        )
        #expect(broken.body.contains("The request body is not whole gzip data."))
    }
}
