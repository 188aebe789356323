extension ArraySlice<UInt8> {
    /// What stands between separators, empty parts as well.
    func fields(separatedBy separator: UInt8) -> [ArraySlice<UInt8>] {
        var fields: [ArraySlice<UInt8>] = []
        fields.reserveCapacity(8)
        var start = startIndex
        while let end = self[start...].firstIndex(of: separator) {
            fields.append(self[start..<end])
            start = end + 1
        }
        fields.append(self[start...])
        return fields
    }
}
