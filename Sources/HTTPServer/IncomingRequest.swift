internal import NIOCore
internal import NIOHTTP1
internal import SigV4

/// A request that is being received.
struct IncomingRequest {
    let head: HTTPRequestHead
    let route: RequestRouter.Route
    var body: ByteBuffer?
    var bodyBytes = 0
    var declaredBytes: Int?
    var hasEnded = false
    var authentication: RequestAuthentication?
    /// Who the caller is, once all of the body was there.
    var caller: Result<Caller, SignatureError>?

    init(_ head: HTTPRequestHead, _ route: RequestRouter.Route) {
        self.head = head
        self.route = route
        if let text = head.headers.first(name: "content-length") {
            declaredBytes = Int(text) ?? Int.max
        }
    }

    /// Packed bodies may come to any size.
    var isPacked: Bool { head.headers.contains(name: "content-encoding") }
}
