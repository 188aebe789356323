package import Records
internal import SigV4
internal import Synchronization

/// Who may do what: the credentials file, held in memory and read anew on demand.
package final class AccessControl: Sendable {
    /// What one reading of the file gave.
    fileprivate final class Snapshot: Sendable {
        let verifier: RequestVerifier
        let accessKeyIDs: [String]
        let policies: [AccessPolicy]

        init(_ file: CredentialsFile, region: String?) {
            verifier = RequestVerifier(service: "firehose", region: region, keys: file.keys)
            accessKeyIDs = file.keys.map(\.credentials.accessKeyID)
            policies = file.policies
        }
    }

    /// What a request's head claims; `admit` shows whether it is true.
    struct Claim: Sendable {
        fileprivate let snapshot: Snapshot
        fileprivate let claim: RequestVerifier.Claim
        /// Whether `admit` needs the body's hash.
        var needsBodyHash: Bool { claim.needsBodyHash }
    }

    /// The caller of a request whose signature is right.
    struct Caller: Sendable {
        fileprivate let identity: ServiceIdentity
        fileprivate let accessKeyID: String
        fileprivate let policy: AccessPolicy

        /// Lets an operation on a stream pass, or on none.
        ///
        /// - Throws: AccessDenied.
        func check(_ operation: Operation, on stream: String?) throws(FirehoseError) {
            guard !policy.allows(operation, on: stream) else { return }
            let resource = identity.arn(ofStream: stream ?? "*")
            throw FirehoseError(
                .accessDenied,
                "User: arn:aws:iam::\(identity.account):user/\(accessKeyID) is not authorized to "
                    + "perform: \(operation.action) on resource: \(resource) because no "
                    + "identity-based policy allows the \(operation.action) action"
            )
        }
    }

    private let path: String
    private let region: String?
    private let identity: ServiceIdentity
    private let time: any TimeSource
    private let current: Mutex<Snapshot>

    /// Reads a credentials file.
    ///
    /// - Parameters:
    ///   - path: The file, which only its owner may be able to read.
    ///   - identity: Who the server is.
    ///   - requiresRegion: Whether signatures must be for the identity's region; any will do
    ///     otherwise, as clients of a server of one's own have all sorts of regions set.
    ///   - time: The clock.
    /// - Throws: What is wrong with the file, for the operator.
    package init(
        path: String,
        identity: ServiceIdentity,
        requiresRegion: Bool,
        time: any TimeSource
    ) throws {
        self.path = path
        self.identity = identity
        self.time = time
        region = requiresRegion ? identity.region : nil
        current = Mutex(Snapshot(try CredentialsFile(path: path), region: region))
    }

    /// How many keys there are.
    package var keyCount: Int { current.withLock { $0.policies.count } }

    /// Reads the file again; requests under way keep to what they began with.
    ///
    /// - Throws: What is wrong with the file; the keys that were known stay known then.
    /// - Returns: How many keys there are now.
    package func reload() throws -> Int {
        let snapshot = Snapshot(try CredentialsFile(path: path), region: region)
        current.withLock { $0 = snapshot }
        return snapshot.policies.count
    }

    /// Checks of a request what its head says.
    func claim(of head: RequestVerifier.Head) throws(FirehoseError) -> Claim {
        let snapshot = current.withLock { $0 }
        return Claim(
            snapshot: snapshot,
            claim: try snapshot.verifier.claim(of: head, now: time.now())
        )
    }

    /// Checks the signature, with the SHA-256 of the body as it came over the wire.
    func admit(_ claim: Claim, bodyHash: [UInt8]) throws(FirehoseError) -> Caller {
        try claim.snapshot.verifier.verify(claim.claim, bodyHash: bodyHash)
        let index = claim.claim.keyIndex
        return Caller(
            identity: identity,
            accessKeyID: claim.snapshot.accessKeyIDs[index],
            policy: claim.snapshot.policies[index]
        )
    }
}
