package import NIOCore

/// A request that is there as a whole, from a caller who is known.
package struct ReceivedRequest {
    /// Its head.
    package let head: RequestHead
    /// Its body, as it came over the wire.
    package let body: ByteBuffer
    /// Who sent it.
    package let caller: Caller
    /// Makes the connection's buffers.
    package let allocator: ByteBufferAllocator
}
