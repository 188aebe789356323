internal import Compression
internal import HTTPServer
internal import NIOCore
internal import Records

extension ReceivedRequest {
    /// The body as the client had it before it packed it.
    ///
    /// - Throws: SerializationException where it is not packed as its header says;
    ///   RequestEntityTooLargeException where it unpacks to too much.
    func unpackedBody() throws(FirehoseError) -> ByteBuffer {
        guard let encoding = head.header("content-encoding"), !encoding.isASCII("identity") else {
            return body
        }
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
}
