extension String {
    /// Whether this is an ASCII text, in any case, that is given in lower case.
    ///
    /// By bytes: Swift's own comparison normalises, which takes long for texts that are made for it.
    package func isASCII(_ lowercased: StaticString) -> Bool {
        utf8.count == lowercased.utf8CodeUnitCount
            && zip(utf8, 0...).allSatisfy { byte, index in
                let small = lowercased.utf8Start[index]
                return byte == small
                    || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
                        && byte | 0x20 == small
            }
    }

    /// The first `count` Unicode scalars: a character may have any number of them.
    package func unicodeScalarPrefix(_ count: Int) -> String {
        String(unicodeScalars.prefix(count))
    }
}
