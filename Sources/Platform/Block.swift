internal import Synchronization

/// A block of memory for a megabyte or so that is filled once, by its builder, and then read: large blocks
/// are used again, since giving them back to the system and getting them anew costs more than what is done
/// with them.
package final class Block: Sendable {
    // Nobody writes to it once there is a block.
    nonisolated(unsafe) private let space: UnsafeMutableRawBufferPointer
    /// How many bytes there are.
    package let count: Int

    fileprivate init(_ space: UnsafeMutableRawBufferPointer, count: Int) {
        self.space = space
        self.count = count
    }

    /// A block with these bytes.
    package init(_ bytes: [UInt8]) {
        space = BlockPool.shared.take(bytes.count)
        space.copyBytes(from: bytes)
        count = bytes.count
    }

    deinit { BlockPool.shared.give(space) }

    /// The bytes; valid as long as the block.
    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: space[..<count]) }
}

extension Block {
    /// Fills a block, front to back; nobody else sees it before it is one.
    package struct Builder: ~Copyable {
        private let space: UnsafeMutableRawBufferPointer
        /// Bytes that are filled.
        package private(set) var count = 0

        /// A builder with room for at least `capacity` bytes.
        package init(capacity: Int) { space = BlockPool.shared.take(capacity) }

        deinit { BlockPool.shared.give(space) }

        /// Bytes that there is room for in all.
        package var capacity: Int { space.count }

        /// What is filled; valid as long as the builder.
        package var bytes: UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(rebasing: space[..<count])
        }

        /// The room behind that, of undefined content; valid as long as the builder.
        ///
        /// Whoever writes there says so with `advance`.
        package var room: UnsafeMutableRawBufferPointer {
            UnsafeMutableRawBufferPointer(rebasing: space[count...])
        }

        /// So many bytes of `room` are filled.
        package mutating func advance(by filled: Int) {
            precondition(filled <= space.count - count, "no more is filled than there is room for")
            count += filled
        }

        /// Puts bytes behind what is filled.
        package mutating func append(_ bytes: UnsafeRawBufferPointer) {
            precondition(bytes.count <= space.count - count, "there is room for the bytes")
            room.copyMemory(from: bytes)
            count += bytes.count
        }

        /// Forgets what is behind the first `count` bytes.
        package mutating func truncate(to count: Int) {
            precondition(count <= self.count, "what is not filled is not kept")
            self.count = count
        }

        /// The block.
        package consuming func build() -> Block {
            let block = Block(space, count: count)
            discard self
            return block
        }
    }
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
