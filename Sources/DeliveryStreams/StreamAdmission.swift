package import Destinations
package import Records
package import Transforms

/// What a server takes as a stream.
package struct StreamAdmission: Sendable {
    private let policy: StreamPolicy
    private let logs: any RecordLogInspection
    private let destinations: (any RecordDestinationFactory)?
    private let transforms: TransformHost?
    private let time: any TimeSource

    /// Rules of a server.
    ///
    /// - Parameters:
    ///   - policy: What it allows.
    ///   - logs: Says whether streams can be encrypted.
    ///   - destinations: Makes those that take records; nil where none are.
    ///   - transforms: Where programs are; nil where none are run.
    ///   - time: The clock.
    package init(
        policy: StreamPolicy,
        logs: any RecordLogInspection,
        destinations: (any RecordDestinationFactory)?,
        transforms: TransformHost?,
        time: any TimeSource
    ) {
        self.policy = policy
        self.logs = logs
        self.destinations = destinations
        self.transforms = transforms
        self.time = time
    }

    /// Refuses a stream that could not be created, whatever streams there are.
    ///
    /// - Throws: InvalidArgument, which names the member.
    package func check(_ stream: DeliveryStream) throws(FirehoseError) {
        try checkRules(stream)
        if stream.encryption != nil, let failure = logs.masterKeyFailure {
            throw FirehoseError(failure)
        }
    }

    /// The same without encryption.
    func checkRules(_ stream: DeliveryStream) throws(FirehoseError) {
        try StreamRules.check(
            stream,
            minimumIntervalSeconds: policy.minimumBufferIntervalSeconds,
            acceptsUndeliverable: policy.acceptsUndeliverable,
            now: time.now()
        )
        if ErrorOutputType(of: stream.destination.kind) != nil,
            StreamRules.undeliverableMembers(of: stream.destination).isEmpty
        {
            _ = try destinations?.make(stream.destination, stream: stream.name)
        }
        guard let lambda = try StreamRules.processing(of: stream)?.lambda else { return }
        guard let transforms else {
            throw FirehoseError(.invalidArgument, "LambdaArn: this server runs no transforms")
        }
        do throws(TransformProgram.Failure) {
            try transforms.check(lambda.name)
        } catch {
            throw FirehoseError(.invalidArgument, "LambdaArn: \(error)")
        }
    }
}
