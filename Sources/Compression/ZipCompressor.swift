internal import CZlib

/// A ZIP archive (APPNOTE.TXT 6.3) with one deflated entry, sizes behind the data, below 4 GiB.
package final class ZipCompressor: Compressor {
    private let name: [UInt8]
    private let dosTime: UInt32
    private let deflater: Deflater
    private var hasBegun = false
    private var checksum: UInt = 0
    private var plainBytes: UInt64 = 0
    private var packedBytes: UInt64 = 0

    /// An archive whose entry is called `name`.
    ///
    /// - Parameters:
    ///   - name: The entry's name.
    ///   - modified: Year, month, day, hour, minute, second of the entry.
    ///   - level: 1 (fast) to 9 (small).
    package init(
        name: String,
        modified: (Int, Int, Int, Int, Int, Int),
        level: Int
    ) {
        self.name = Array(name.utf8)
        let (year, month, day, hour, minute, second) = modified
        let date = UInt32(max(0, min(127, year - 1980)) << 9 | month << 5 | day)
        dosTime = date << 16 | UInt32(hour << 11 | minute << 5 | second / 2)
        deflater = Deflater(level: level, format: .raw)
    }

    package func write(
        _ bytes: UnsafeRawBufferPointer,
        to sink: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        try begin(sink)
        checksum = crc32_z(
            checksum,
            bytes.baseAddress?.assumingMemoryBound(to: UInt8.self),
            bytes.count
        )
        plainBytes += UInt64(bytes.count)
        try deflater.write(bytes) { try pass($0, to: sink) }
    }

    package func finish(to sink: (UnsafeRawBufferPointer) throws -> Void) throws {
        try begin(sink)
        try deflater.finish { try pass($0, to: sink) }
        precondition(
            plainBytes < UInt32.max && packedBytes < UInt32.max,
            "an entry is below 4 GiB"
        )
        var tail: [UInt8] = []
        tail.add(UInt32(0x0807_4b50))  // data descriptor
        addSizes(to: &tail)
        let directory = UInt32(30 + name.count) + UInt32(packedBytes) + 16
        tail.add(UInt32(0x0201_4b50))  // central directory
        tail.add(UInt16(0x0314))  // made on Unix, by version 2.0
        addEntry(to: &tail)
        addSizes(to: &tail)
        tail.add(UInt16(name.count))
        for _ in 0..<4 { tail.add(UInt16(0)) }  // extra, comment, disk, internal attributes
        tail.add(UInt32(0o100644) << 16)
        tail.add(UInt32(0))
        tail.append(contentsOf: name)
        let directoryBytes = UInt32(46 + name.count)
        tail.add(UInt32(0x0605_4b50))  // end of central directory
        tail.add(UInt16(0))
        tail.add(UInt16(0))
        tail.add(UInt16(1))
        tail.add(UInt16(1))
        tail.add(directoryBytes)
        tail.add(directory)
        tail.add(UInt16(0))
        try tail.withUnsafeBytes { try sink($0) }
    }

    private func begin(_ sink: (UnsafeRawBufferPointer) throws -> Void) throws {
        guard !hasBegun else { return }
        hasBegun = true
        var head: [UInt8] = []
        head.add(UInt32(0x0403_4b50))  // local file header
        addEntry(to: &head)
        for _ in 0..<3 { head.add(UInt32(0)) }  // checksum and sizes follow the data
        head.add(UInt16(name.count))
        head.add(UInt16(0))
        head.append(contentsOf: name)
        try head.withUnsafeBytes { try sink($0) }
    }

    private func addEntry(to bytes: inout [UInt8]) {
        bytes.add(UInt16(20))  // version needed: 2.0
        bytes.add(UInt16(0x0808))  // sizes behind the data; the name is UTF-8
        bytes.add(UInt16(8))  // deflated
        bytes.add(dosTime)
    }

    private func addSizes(to bytes: inout [UInt8]) {
        bytes.add(UInt32(checksum))
        bytes.add(UInt32(packedBytes))
        bytes.add(UInt32(plainBytes))
    }

    private func pass(
        _ bytes: UnsafeRawBufferPointer,
        to sink: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        packedBytes += UInt64(bytes.count)
        try sink(bytes)
    }
}

extension [UInt8] {
    /// Appends a number in little-endian order.
    fileprivate mutating func add(_ number: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
    }
}
