/// What the log answers when a batch is on disk: which numbers its records have.
package struct AppendReceipt: Sendable, Hashable {
    /// Records with consecutive numbers.
    package struct Run: Sendable, Hashable {
        /// The number of the first.
        package var first: RecordNumber
        /// How many there are.
        package var count: Int

        /// A run.
        package init(first: RecordNumber, count: Int) {
            self.first = first
            self.count = count
        }

        /// The number behind the last.
        package var end: RecordNumber { first + count }
    }

    /// The generation of the log; see `RecordLog`.
    package var generation: UInt64
    /// The batch's records in their order, which is that of their numbers: the first ones of the batch,
    /// where a limit kept the others out.
    package var runs: [Run] { [first] + further }
    /// Most often the only one, which so takes no memory of its own.
    private var first: Run
    private var further: [Run]
    /// Whether they are encrypted where they lie.
    package var isEncrypted: Bool

    /// A receipt for one run, as most are.
    package init(generation: UInt64, _ run: Run, isEncrypted: Bool = false) {
        self.generation = generation
        first = run
        further = []
        self.isEncrypted = isEncrypted
    }

    /// A receipt.
    package init(generation: UInt64, runs: [Run], isEncrypted: Bool = false) {
        self.generation = generation
        self.first = runs.first ?? Run(first: RecordNumber(0), count: 0)
        further = Array(runs.dropFirst())
        self.isEncrypted = isEncrypted
    }

    /// How many records it is for.
    package var recordCount: Int { further.reduce(first.count) { $0 + $1.count } }

    /// The number behind the last record.
    package var end: RecordNumber { (further.last ?? first).end }

    /// The number of one of the records, which are counted from 0.
    package func number(ofRecord index: Int) -> RecordNumber {
        if index < first.count { return first.first + index }
        var index = index - first.count
        for run in further {
            if index < run.count { return run.first + index }
            index -= run.count
        }
        preconditionFailure("the receipt is for fewer records")
    }
}

/// What an append calls at its end, once, on any thread: with a receipt when the records are durable, with
/// an AWS error when they are not.
package typealias AppendCompletion = @Sendable (Result<AppendReceipt, FirehoseError>) -> Void
