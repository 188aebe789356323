internal import Crypto
internal import NIOCore
internal import NIOHTTP1
internal import SigV4

/// The authentication of one request, which goes along with its arrival: its head is checked at
/// once, its body hashed part by part.
struct RequestAuthentication {
    private let access: AccessControl
    private let claim: Result<AccessControl.Claim, SignatureError>
    private var hash = SHA256()

    init(_ head: HTTPRequestHead, _ service: String, _ access: AccessControl) {
        self.access = access
        let head = RequestVerifier.Head(
            method: head.method.rawValue,
            target: String(RequestRouter.target(head.uri)),
            headers: Array(head.headers)
        )
        claim = Result { () throws(SignatureError) in try access.claim(of: head, for: service) }
    }

    /// Why the head alone is enough to refuse the request.
    var error: SignatureError? { if case .failure(let error) = claim { error } else { nil } }

    /// Takes a part of the body as it came over the wire.
    mutating func take(_ part: ByteBuffer) {
        guard case .success(let claim) = claim, claim.needsBodyHash else { return }
        part.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
    }

    /// The caller, once all of the body was there.
    func finish() throws(SignatureError) -> Caller {
        try access.admit(try claim.get(), bodyHash: hash.finalize().withUnsafeBytes { Array($0) })
    }
}
