package import HTTPServer
package import NIOCore
internal import Records

/// What the server refuses, as Firehose says it.
extension FirehoseService {
    /// Counts the refusal as an answer of the operation, where the request is for one.
    package func answer(
        to refusal: HTTPRefusal,
        of head: RequestHead?,
        _ allocator: ByteBufferAllocator
    ) -> HTTPAnswer {
        let answer = Self.answer(to: refusal, allocator)
        if let head { metrics.answered(operation(of: head), code: answer.errorCode) }
        return answer
    }

    private static func answer(
        to refusal: HTTPRefusal,
        _ allocator: ByteBufferAllocator
    ) -> HTTPAnswer {
        switch refusal {
        case .bodyTooLarge(let maximumBytes):
            HTTPAnswer(
                FirehoseError(
                    .requestEntityTooLarge,
                    "The request body has more than \(maximumBytes) bytes."
                ),
                allocator
            )
        case .timedOut:
            HTTPAnswer(
                code: "RequestTimeout",
                message: "The request was not complete in time.",
                status: 408,
                allocator
            )
        case .unauthenticated(let code, let message):
            HTTPAnswer(code: code, message: message, status: 400, allocator)
        case .notFound: pointer(status: 404, allocator)
        case .methodNotAllowed: pointer(status: 405, allocator)
        }
    }

    private static func pointer(status: Int, _ allocator: ByteBufferAllocator) -> HTTPAnswer {
        HTTPAnswer(
            code: FirehoseError.Code.unknownOperation.rawValue,
            message:
                "This is the Firehose API: point an SDK's endpoint URL here. See also /health, "
                + "/ready and /metrics.",
            status: status,
            allocator
        )
    }
}
