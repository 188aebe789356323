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
        /// The generation of the log that it was appended in.
        package var generation: UInt64

        /// A record.
        package init(
            range: Range<Int>,
            arrival: Timestamp,
            number: RecordNumber,
            generation: UInt64
        ) {
            self.generation = generation
            self.range = range
            self.arrival = arrival
            self.number = number
        }
    }

    /// What holds their data.
    package var block: Block
    /// In order.
    package var items: [Item]

    /// Records of a log.
    package init(block: Block, items: [Item]) {
        self.block = block
        self.items = items
    }

    /// One record's data, valid as long as the block.
    package func data(of item: Item) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: block.bytes[item.range])
    }

    /// A record's name everywhere and in every attempt: 32 hexadecimal digits, of the log's
    /// generation and of its number there.
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
        Hexadecimal.write(item.generation, to: space)
        Hexadecimal.write(
            item.number.value,
            to: UnsafeMutableRawBufferPointer(rebasing: space[16...])
        )
    }
}
