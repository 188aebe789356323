/// The logs of one server, by name: opens them, and lets go of them.
package protocol RecordLogs: RecordLogInspection {
    /// Opens a log, created if it is missing, and recovers what a former process left. Blocks.
    ///
    /// - Throws: Where it cannot be read, is of another version, or a checkpoint is damaged.
    func open(_ name: String, for use: LogUse) throws -> any RecordLog

    /// Removes a log that is closed, with all its records; one that is not there is no error. Blocks.
    func remove(_ name: String) throws
}

/// What can be told of logs without opening them.
package protocol RecordLogInspection: Sendable {
    /// Why no log can be encrypted; nil where logs can be.
    var masterKeyFailure: LogKeyFailure? { get }

    /// Whether there is a log of that name. Blocks.
    func exists(_ name: String) -> Bool

    /// Why what is encrypted in a log cannot be opened; nil where it can be, or nothing is encrypted.
    /// Blocks.
    func encryptionFailure(of name: String) -> LogKeyFailure?
}

/// What a log is opened for.
package struct LogUse: Sendable {
    /// Every reader that it holds records for.
    package var readers: [String]
    /// Marks that it is known to have reached, beside its checkpoints; it goes on behind them even if it
    /// lost its end.
    package var floors: [LogMark]
    /// Whether what is appended is encrypted.
    package var isEncrypted: Bool
    /// Whether producers fill it, and the bounds on intake hold: on a log's bytes, and on the disk.
    ///
    /// One that they do not fill is on the way out, and must grow before anything is let go of: it may use
    /// what intake leaves, and the caller sees to it that it does not grow without end.
    package var isIntake: Bool
    /// The reader that makes room when it moves, where others move for reasons of their own.
    package var deliverer: String?

    /// A use.
    package init(
        readers: [String],
        floors: [LogMark] = [],
        isEncrypted: Bool = false,
        isIntake: Bool = true,
        deliverer: String? = nil
    ) {
        self.deliverer = deliverer
        self.readers = readers
        self.floors = floors
        self.isEncrypted = isEncrypted
        self.isIntake = isIntake
    }
}
