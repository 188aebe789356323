package import Records
internal import SigV4
internal import Synchronization

/// Who may do what: the credentials file, held in memory and read anew on demand.
package final class AccessControl: Sendable {
    /// What one reading of the file gave.
    fileprivate final class Snapshot: Sendable {
        let verifier: RequestVerifier
        let callers: [Caller]

        init(_ file: CredentialsFile, region: String?) {
            verifier = RequestVerifier(region: region, keys: file.keys)
            callers = file.callers
        }
    }

    /// What a request's head claims; `admit` shows whether it is true.
    struct Claim: Sendable {
        fileprivate let snapshot: Snapshot
        fileprivate let claim: RequestVerifier.Claim
        /// Whether `admit` needs the body's hash.
        var needsBodyHash: Bool { claim.needsBodyHash }
    }

    private let path: String
    private let actions: [String]
    private let region: String?
    private let time: any TimeSource
    private let current: Mutex<Snapshot>

    /// Reads a credentials file.
    ///
    /// - Parameters:
    ///   - path: The file, which only its owner may be able to read.
    ///   - actions: Those of all services: a policy that allows none of them is a mistake.
    ///   - region: The region that signatures must be for; nil for any, as clients of a server of
    ///     one's own have all sorts of regions set.
    ///   - time: The clock.
    /// - Throws: What is wrong with the file, for the operator.
    package init(
        path: String,
        actions: [String],
        region: String?,
        time: any TimeSource
    ) throws {
        self.path = path
        self.actions = actions
        self.region = region
        self.time = time
        let file = try CredentialsFile(path: path, actions: actions)
        current = Mutex(Snapshot(file, region: region))
    }

    /// How many keys there are.
    package var keyCount: Int { current.withLock { $0.callers.count } }

    /// Reads the file again; requests under way keep to what they began with.
    ///
    /// - Throws: What is wrong with the file; the keys that were known stay known then.
    /// - Returns: How many keys there are now.
    package func reload() throws -> Int {
        let file = try CredentialsFile(path: path, actions: actions)
        let snapshot = Snapshot(file, region: region)
        current.withLock { $0 = snapshot }
        return snapshot.callers.count
    }

    /// Checks of a request to a service what its head says.
    func claim(
        of head: RequestVerifier.Head,
        for service: String
    ) throws(SignatureError) -> Claim {
        let snapshot = current.withLock { $0 }
        return Claim(
            snapshot: snapshot,
            claim: try snapshot.verifier.claim(of: head, for: service, now: time.now())
        )
    }

    /// Checks the signature, with the SHA-256 of the body as it came over the wire.
    func admit(_ claim: Claim, bodyHash: [UInt8]) throws(SignatureError) -> Caller {
        try claim.snapshot.verifier.verify(claim.claim, bodyHash: bodyHash)
        return claim.snapshot.callers[claim.claim.keyIndex]
    }
}
