/// Why the server answers a request itself: each service says it in its own form.
package enum HTTPRefusal: Sendable, Hashable {
    /// The body has more bytes than the server takes.
    case bodyTooLarge(maximumBytes: Int)
    /// The request was not complete in time.
    case timedOut
    /// The signature does not show who sent the request; with AWS's code and message.
    case unauthenticated(code: String, message: String)
    /// There is neither a service nor a page of that path.
    case notFound
    /// The path is not served by that method.
    case methodNotAllowed
}
