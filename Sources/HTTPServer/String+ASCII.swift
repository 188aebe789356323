extension String {
    /// Whether this is an ASCII text, in any case, that is given in lower case.
    ///
    /// By bytes: Swift's own comparison normalises, which takes long for texts that are made for it.
    package func isASCII(_ lowercased: StaticString) -> Bool {
        guard utf8.count == lowercased.utf8CodeUnitCount else { return false }
        var small = lowercased.utf8Start
        for byte in utf8 {
            let isCapital = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
            guard (isCapital ? byte | 0x20 : byte) == small.pointee else { return false }
            small += 1
        }
        return true
    }
}
