package import Platform
package import Records

/// Records on their way to a destination that takes them one by one, in memory.
package struct DeliveryRecords: Sendable {
    /// One of them.
    package struct Item: Sendable {
        /// Where its data is in the block.
        package var range: Range<Int>
        /// When it arrived.
        package var arrival: Timestamp
        /// Its number in its log.
        package var number: RecordNumber

        /// A record.
        package init(range: Range<Int>, arrival: Timestamp, number: RecordNumber) {
            self.range = range
            self.arrival = arrival
            self.number = number
        }
    }

    /// What holds their data.
    package var block: Block
    /// In order.
    package var items: [Item]
    /// The random number of the log that they are in.
    package var logIdentity: UInt64

    /// Records of a log.
    package init(block: Block, items: [Item], logIdentity: UInt64) {
        self.block = block
        self.items = items
        self.logIdentity = logIdentity
    }

    /// One record's data, valid as long as the block.
    package func data(of item: Item) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: block.bytes[item.range])
    }

    /// A record's name everywhere and in every attempt: 32 hexadecimal digits, of its log and of its
    /// number there.
    ///
    /// For a record as it was put, PutRecord answers with the same.
    package func identifier(of item: Item) -> String {
        String(
            decoding: [UInt8](unsafeUninitializedCapacity: Self.identifierBytes) { space, count in
                writeIdentifier(of: item, to: UnsafeMutableRawBufferPointer(space))
                count = Self.identifierBytes
            },
            as: UTF8.self
        )
    }

    /// Length of an identifier.
    package static let identifierBytes = 32

    /// Writes a record's identifier into the first bytes of `space`.
    func writeIdentifier(of item: Item, to space: UnsafeMutableRawBufferPointer) {
        Hexadecimal.write(logIdentity, to: space)
        Hexadecimal.write(
            item.number.value,
            to: UnsafeMutableRawBufferPointer(rebasing: space[16...])
        )
    }
}
