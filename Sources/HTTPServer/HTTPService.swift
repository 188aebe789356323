package import NIOCore

/// An API behind the server, which receives, authenticates and bounds its requests.
///
/// A service knows its operations; the server knows none of them. Several may share a server: a request
/// goes to the first that claims it, and to the first of all where none does.
package protocol HTTPService: AnyObject, Sendable {
    /// The name that signatures of the API's requests have in their scope, e.g. `firehose`.
    static var name: String { get }
    /// All actions that a policy may allow, e.g. `firehose:PutRecord`.
    static var actions: [String] { get }

    /// Whether a request is for this service, which need not have what it asks for.
    func claims(_ head: RequestHead) -> Bool

    /// The operation that a request asks for; nil if it is not known.
    func operationName(of head: RequestHead) -> String?

    /// Answers a request: calls `done` once, on any thread, with what makes the answer on the
    /// connection's own thread.
    ///
    /// The service asks the request's caller whether the action is allowed. It is called on the
    /// connection's thread and must not block it.
    func answer(
        _ request: ReceivedRequest,
        done: @escaping @Sendable (@escaping HTTPAnswer.Maker) -> Void
    )

    /// Answers a request that the server refuses.
    ///
    /// - Parameters:
    ///   - refusal: Why.
    ///   - head: The request's head; nil where the request is for no service.
    ///   - allocator: Makes the connection's buffers.
    /// - Returns: The refusal in the service's own form, which is counted where there is a head.
    func answer(
        to refusal: HTTPRefusal,
        of head: RequestHead?,
        _ allocator: ByteBufferAllocator
    ) -> HTTPAnswer
}
