import Records
import TestSupport
import Testing

@testable import DurableLog

@Suite struct DiskFloorTests {
    private static let mebibyte: UInt64 = 1 << 20

    /// How large a segment of usually 64 MiB may be on a disk with so much free, all in MiB.
    private func capacity(
        _ floor: DiskFloor,
        free: UInt64,
        needed: UInt64 = 4,
        isDelivered: Bool = false
    ) -> UInt64? {
        let space = DiskSpace(
            free: free * Self.mebibyte,
            usual: 64 * Self.mebibyte,
            needed: needed * Self.mebibyte,
            isDelivered: isDelivered
        )
        return floor.capacity(space).map { $0 / Self.mebibyte }
    }

    @Test func `what producers fill leaves half a gigabyte`() {
        #expect(capacity(.intake, free: 576) == 64)
        #expect(capacity(.intake, free: 575) == nil)
        #expect(capacity(.intake, free: 575, isDelivered: true) == nil)
        #expect(capacity(.intake, free: 0) == nil)
    }

    @Test
    func `what was transformed leaves room for a spool file, and takes less before it takes none`()
    {
        #expect(capacity(.outcomes, free: 320) == 64)
        #expect(capacity(.outcomes, free: 319) == 4)
        #expect(capacity(.outcomes, free: 260) == 4)
        #expect(capacity(.outcomes, free: 259) == nil)
    }

    @Test func `where nothing waits for its delivery, the disk may be nearly full`() {
        #expect(capacity(.outcomes, free: 259, isDelivered: true) == 4)
        #expect(capacity(.outcomes, free: 24, isDelivered: true) == 4)
        #expect(capacity(.outcomes, free: 23, isDelivered: true) == nil)
        #expect(capacity(.outcomes, free: 23, needed: 3, isDelivered: true) == 3)
    }

    /// Each of some logs grows, or spools what it has and lets go of it, in any order.
    @Test func `logs on a full disk never wait for each other`() {
        var generator = SeededGenerator(seed: 14)
        for _ in 0..<2000 {
            var free = UInt64.random(in: 20...600, using: &generator)
            var held = [UInt64](repeating: 0, count: 8)
            var wanted = held.map { _ in UInt64.random(in: 1...40, using: &generator) }
            var stuck = 0
            for _ in 0..<400 {
                let log = Int.random(in: 0..<8, using: &generator)
                let grown = capacity(
                    .outcomes,
                    free: free,
                    needed: wanted[log],
                    isDelivered: held[log] == 0
                )
                if let grown {
                    free -= grown
                    held[log] += grown
                    wanted[log] = UInt64.random(in: 1...40, using: &generator)
                }
                // Delivery of one goes in steps of at most 128 MB, through a spool file.
                let spooled = held.indices.filter { held[$0] > 0 && min(held[$0], 128) <= free }
                stuck = grown == nil && spooled.isEmpty ? stuck + 1 : 0
                if let one = spooled.randomElement(using: &generator),
                    Bool.random(using: &generator)
                {
                    free += held[one]
                    held[one] = 0
                }
            }
            let isFree = held.allSatisfy { $0 == 0 }
            #expect(isFree || held.contains { $0 > 0 && min($0, 128) <= free })
            #expect(stuck == 0 || isFree)
        }
    }
}
