internal import Synchronization

/// A block of memory for a megabyte or so that is filled once and then read: large blocks are used again,
/// since giving them back to the system and getting them anew costs more than what is done with them.
///
/// Unchecked because the compiler cannot see that nobody writes while others read: whoever fills a block
/// does so before it hands it on.
package final class Block: @unchecked Sendable {
    /// The memory; how much of it is used is for the owner to know, or `count`.
    package let space: UnsafeMutableRawBufferPointer
    /// Bytes from the beginning that are used.
    package var count = 0

    /// A block for at least `capacity` bytes, of undefined content.
    package init(capacity: Int) { space = BlockPool.shared.take(capacity) }

    /// A block with these bytes.
    package convenience init(_ bytes: [UInt8]) {
        self.init(capacity: bytes.count)
        space.copyBytes(from: bytes)
        count = bytes.count
    }

    deinit { BlockPool.shared.give(space) }

    /// The bytes that are used; valid as long as the block.
    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: space[..<count]) }
}

/// Blocks that nobody uses at the moment.
private final class BlockPool: Sendable {
    static let shared = BlockPool()

    /// Smaller ones are left to the system's allocator, which keeps them anyway.
    private static let leastBytes = 128 * 1024
    /// More of them are given back.
    private static let mostFreeBytes = 48 * 1024 * 1024

    /// Unchecked as `Block` is.
    private struct Free: @unchecked Sendable {
        var blocks: [UnsafeMutableRawBufferPointer] = []
        var bytes = 0
    }
    private let free = Mutex(Free())

    func take(_ capacity: Int) -> UnsafeMutableRawBufferPointer {
        guard capacity >= Self.leastBytes else { return Self.allocate(capacity) }
        // Few sizes, so that one fits for another.
        let unit = Self.leastBytes << max(0, capacity.bitWidth - capacity.leadingZeroBitCount - 19)
        let size = (capacity + unit - 1) / unit * unit
        let found = free.withLock { free -> UnsafeMutableRawBufferPointer? in
            let index = free.blocks.lastIndex { $0.count >= size && $0.count <= 2 * size }
            guard let index else { return nil }
            let block = free.blocks.remove(at: index)
            free.bytes -= block.count
            return block
        }
        return found ?? Self.allocate(size)
    }

    func give(_ block: UnsafeMutableRawBufferPointer) {
        let isKept = free.withLock { free in
            guard block.count >= Self.leastBytes, free.bytes + block.count <= Self.mostFreeBytes
            else { return false }
            free.blocks.append(block)
            free.bytes += block.count
            return true
        }
        if !isKept { block.deallocate() }
    }

    private static func allocate(_ count: Int) -> UnsafeMutableRawBufferPointer {
        .allocate(byteCount: max(count, 1), alignment: 16)
    }
}
