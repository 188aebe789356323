internal import Records

/// What a new segment would take of the disk; all in bytes.
struct DiskSpace: Hashable {
    /// What is free.
    var free: UInt64
    /// A segment as they usually are.
    var usual: UInt64
    /// The least that the next frame can do with.
    var needed: UInt64
    /// Whether all that the log holds is delivered.
    var isDelivered: Bool
}

/// How much of the disk a log leaves to others.
enum DiskFloor: Hashable {
    /// One that producers fill stops first: all that it holds has to get out yet.
    case intake
    /// What was transformed makes room when it is delivered, and takes a spool file of its size before.
    case outcomes

    /// How large a new segment may be; nil where there is no room for one.
    func capacity(_ space: DiskSpace) -> UInt64? {
        func leaves(_ floor: UInt64, after bytes: UInt64) -> Bool {
            space.free >= floor && space.free - floor >= bytes
        }
        switch self {
        case .intake:
            return leaves(Limits.minimumFreeDiskBytes, after: space.usual) ? space.usual : nil
        case .outcomes:
            for capacity in [space.usual, space.needed]
            where leaves(Limits.minimumFreeDiskBytesForOutcomes, after: capacity) {
                return capacity
            }
            // Of several logs that come here, the last to grow can spool what it has, and so makes room
            // for the one before: with less, all could wait for each other.
            return space.isDelivered && leaves(Limits.reservedDiskBytes, after: 2 * space.needed)
                ? space.needed : nil
        }
    }
}
