extension String {
    /// The first `count` Unicode scalars: a character may have any number of them.
    func unicodeScalarPrefix(_ count: Int) -> String {
        String(unicodeScalars.prefix(count))
    }
}
