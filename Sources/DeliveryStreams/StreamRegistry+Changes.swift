internal import Delivery
internal import Destinations
internal import Logging
internal import Platform
package import Records
internal import Synchronization
internal import Transforms

/// Changes of streams that are there: one at a time, on a thread of their own.
extension StreamRegistry {
    private var admission: StreamAdmission {
        StreamAdmission(
            policy: policy,
            logs: environment.logs,
            destinations: environment.delivery.options.recordDestinations,
            transforms: environment.transforms.host,
            time: environment.time
        )
    }

    /// What `create` would refuse, without the stream.
    package func check(_ stream: DeliveryStream) throws(FirehoseError) {
        try admission.check(stream)
    }

    /// One change of the configuration; see the protocol.
    package func update(
        _ name: String,
        _ change: @escaping @Sendable (inout DeliveryStream) throws(FirehoseError) -> Void
    ) async throws(FirehoseError) {
        try await changing(name) { [self] active in
            var stream = active.stream
            try change(&stream)
            try store(stream, over: active)
            if stream.destination != active.stream.destination { caution(stream) }
        }
    }

    /// Tells an operator what a stream's destination cannot promise.
    func caution(_ stream: DeliveryStream) {
        let destination = stream.destination
        guard let words = DestinationType.of(destination.kind).caution(destination) else { return }
        logger.warning(
            "the destination may receive records twice",
            metadata: ["stream": "\(stream.name)", "reason": "\(words)"]
        )
    }

    /// Encrypts first, then says so.
    package func startEncryption(
        _ name: String,
        _ encryption: StreamEncryption
    ) async throws(FirehoseError) {
        if let failure = environment.logs.masterKeyFailure { throw FirehoseError(failure) }
        try await changing(name) { [self] active in
            var stream = active.stream
            let wasOn = stream.encryption != nil
            stream.encryption = encryption
            // Before the configuration says so, so that it never says more than there is.
            try active.delivery.setEncryption(true)
            do {
                try store(stream, over: active)
            } catch {
                try active.delivery.setEncryption(wasOn)
                throw error
            }
        }
    }

    /// Says so first, then stops encryption.
    package func stopEncryption(_ name: String) async throws(FirehoseError) {
        try await changing(name) { [self] active in
            var stream = active.stream
            stream.encryption = nil
            try store(stream, over: active)
            try active.delivery.setEncryption(false)
        }
    }

    /// Makes a change of an active stream, alone.
    ///
    /// The stream stays the one that it is meanwhile: a deletion waits for the change, and a new
    /// stream of the name for the deletion.
    private func changing(
        _ name: String,
        _ work: @escaping @Sendable (Active) throws -> Void
    ) async throws(FirehoseError) {
        do {
            try await whenBackupHasEnded(name, work)
        } catch let error as FirehoseError {
            throw error
        } catch {
            logger.error(
                "a stream's configuration cannot be changed",
                metadata: ["stream": "\(name)", "error": "\(error)"]
            )
            throw Self.failure("The change of the stream \(name) could not be stored", error)
        }
    }

    /// What a client is told of a failure of the storage; where files lie is the operator's to know.
    static func failure(_ what: String, _ error: any Error) -> FirehoseError {
        let cause = (error as? any ShortageError)?.shortage
        return FirehoseError(.serviceUnavailable, what + (cause.map { ": \($0)." } ?? "."))
    }

    /// Changes of other streams go on while a backup ends that the change must wait for.
    private func whenBackupHasEnded(
        _ name: String,
        _ work: @escaping @Sendable (Active) throws -> Void
    ) async throws {
        while true {
            do {
                return try await changes.run { [self] _ in try work(try active(name)) }
            } catch let busy as StreamDelivery.BackupIsEnding {
                await busy.end.value
            }
        }
    }

    /// Makes a configuration durable, then brings it into effect.
    private func store(_ stream: DeliveryStream, over active: Active) throws {
        guard stream != active.stream else { return }
        // What the server asks of streams today does not hold up other changes of older ones.
        if stream.destination != active.stream.destination { try admission.checkRules(stream) }
        try active.delivery.prepare(stream)
        let document = try put(stream, over: active.document.revision)
        try active.delivery.update(stream)
        entries.withLock { entries in
            switch entries[stream.name] {
            case .active(var active):
                active.document = document
                entries[stream.name] = .active(active)
            // The deletion waits for the change, and is of what it left.
            case .deleting: entries[stream.name] = .deleting(document)
            case .creating, .quarantined, nil: break
            }
        }
        logger.info(
            "stream changed",
            metadata: ["stream": "\(stream.name)", "version": "\(stream.version)"]
        )
    }

    private func put(_ stream: DeliveryStream, over revision: UInt64) throws -> StreamDocument {
        do {
            return try store.put(stream, over: revision)
        } catch is StreamConflict {
            throw FirehoseError(
                .concurrentModification,
                "Firehose \(stream.name) was changed meanwhile: try again."
            )
        }
    }

    private func active(_ name: String) throws(FirehoseError) -> Active {
        switch entries.withLock({ $0[name] }) {
        case .active(let active): return active
        case .creating, .deleting:
            throw FirehoseError(.resourceInUse, "Firehose \(name) is being created or deleted.")
        case .quarantined:
            throw FirehoseError(.resourceInUse, quarantineError(name).message)
        case nil: throw .notFound(name, account: identity.account)
        }
    }
}
