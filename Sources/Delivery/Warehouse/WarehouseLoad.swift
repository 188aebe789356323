internal import Destinations
internal import JSON
internal import Logging
internal import Platform
internal import Records
internal import Synchronization

/// The way of a stored object into a warehouse: does what the state machine says.
struct WarehouseLoad {
    /// Between two attempts (AWS's own wait 5 minutes: developer guide, "Data delivery failure
    /// handling").
    private static let delays = RetryDelays(
        base: .seconds(1),
        cap: .seconds(300),
        jitter: .about(0.15)
    )

    private let entry: JournalEntry
    private let plan: CopyPlan
    private let context: PipelineContext
    private let copies: CopyService?
    private var machine: WarehouseLoadStateMachine

    init(
        _ entry: JournalEntry,
        _ plan: CopyPlan,
        _ state: LoadState,
        _ context: PipelineContext
    ) {
        self.entry = entry
        self.plan = plan
        self.context = context
        copies = context.environment.options.copies.flatMap { $0.isActive ? $0 : nil }
        machine = WarehouseLoadStateMachine(
            state,
            serverStart: context.startedAt,
            isActive: copies != nil
        )
    }

    /// Loads the object, or leaves its manifest where a back-fill finds it.
    ///
    /// - Throws: `CancellationError`, after which the journal says what there is to do.
    mutating func run() async throws {
        var retrier = Retrier(Self.delays, context.time)
        try await retrier.attempts { _ in try await goOn() }
    }

    private mutating func goOn() async throws -> Retrier.Attempt<Void> {
        while true {
            switch machine.next {
            case .begin: try await attempt()
            case .note(let state): try await note(state)
            case .run: preconditionFailure("COPY runs where its places are")
            case .wait(let wait):
                machine.done()
                return .again(wait)
            case .leaveManifest(let reason): try await leaveManifest(reason)
            case .settle: return .done(())
            }
        }
    }

    private mutating func note(_ state: LoadState) async throws {
        try await context.note(.load(state), of: entry.sequence)
        machine.done()
    }

    // MARK: COPY

    /// Runs COPY once.
    private mutating func attempt() async throws {
        guard let copies else { preconditionFailure("nothing loads where nothing can") }
        let warehouse = try await context.untilDone(
            "the warehouse's configuration cannot be used"
        ) { try self.warehouse() }
        let gates = context.environment.copyGates
        // One of a stream after the other; one that waits for its next attempt lets the others go. What
        // waits for others' COPYs is not tried yet.
        try await context.copyPlaces.holding {
            try await gates.gate(warehouse, isSingle: copies.hasLedger).holding {
                try await gates.all.holding { try await copy(warehouse, copies) }
            }
        }
    }

    private mutating func copy(
        _ warehouse: RedshiftConfiguration,
        _ copies: CopyService
    ) async throws {
        machine.began(now: context.time.steady(), duration: warehouse.retryDuration)
        while true {
            switch machine.next {
            case .note(let state): try await note(state)
            case .run(let number):
                let outcome = try await copies.load(
                    CopyService.Job(
                        warehouse: warehouse,
                        manifest: plan.manifest.url,
                        stream: context.stream,
                        token: "\(plan.manifest.uuid)-\(number)"
                    )
                )
                ended(outcome)
            case .begin, .wait, .leaveManifest, .settle: return
            }
        }
    }

    private mutating func ended(_ outcome: CopyService.Outcome) {
        let failure = machine.ended(outcome, now: context.time.steady())
        let state = machine.state
        let facts: Logger.Metadata = [
            "manifest": "\(plan.manifest.url)", "attempts": "\(state.attempts)",
            "records": "\(state.records)", "bytes": "\(state.bytes)",
        ]
        guard let failure else {
            context.metrics.requested(
                .redshift,
                PipelineMetrics.Requests(
                    records: state.records,
                    bytes: state.bytes,
                    isSuccess: true
                )
            )
            var message: Logger.Message = "loaded"
            if case .loadedBefore = outcome {
                message = "loaded by an attempt whose end was not known"
            }
            return context.logger.info(message, metadata: facts)
        }
        context.metrics.copyFailed(failure.code)
        context.metrics.requested(.redshift, PipelineMetrics.Requests(isSuccess: false))
        guard state.givenUp == nil else { return }
        context.metrics.retries()
        context.logger.warning(
            "COPY failed; retrying",
            metadata: facts.merging(["code": "\(failure.code)", "error": "\(failure)"]) { _, new in
                new
            }
        )
    }

    /// The warehouse that a buffer was sealed for, with who we are there now.
    private func warehouse() throws -> RedshiftConfiguration {
        var destination = plan.destination
        if let current = context.destination.withLock({ $0?.members }),
            current["ClusterJDBCURL"] == destination.members["ClusterJDBCURL"]
        {
            for name in ["Username", "Password", "RoleARN"] {
                destination.members[name] = current[name]
            }
        }
        return try RedshiftConfiguration(destination)
    }

    // MARK: Its end

    /// Leaves a manifest where a back-fill finds it.
    private mutating func leaveManifest(_ reason: LoadState.GivenUp) async throws {
        let state = machine.state
        let part = try await context.onDisk("a manifest cannot be spooled") {
            [plan, entry, context] in
            try plan.manifestObject(
                as: plan.errorManifest,
                of: entry,
                byteCount: state.objectBytes,
                context
            )
        }
        try await context.keep(part, hasGivenUp: true)
        context.logger.error(
            "COPY given up: its manifest is kept for a back-fill",
            metadata: [
                "manifest": "\(plan.errorManifest.url)", "code": "\(reason.code)",
                "error": "\(reason.code): \(reason.message)",
                "attempts": "\(state.attempts)", "records": "\(state.records)",
            ]
        )
        machine.done()
    }
}
