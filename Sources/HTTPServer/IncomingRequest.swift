internal import NIOCore
internal import NIOHTTP1
internal import Records

/// A request that is being received.
struct IncomingRequest {
    var head: HTTPRequestHead
    var body: ByteBuffer?
    var bodyBytes = 0
    var declaredBytes: Int?
    var hasEnded = false
    var authentication: RequestAuthentication?
    /// Who the caller is, once all of the body was there.
    var caller: Result<AccessControl.Caller?, FirehoseError>?

    /// Packed bodies may come to any size.
    var isPacked: Bool { head.headers.contains(name: "content-encoding") }
}
