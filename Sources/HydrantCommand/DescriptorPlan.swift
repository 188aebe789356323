internal import Foundation
internal import Platform
internal import Records

/// How a server shares out the files that it may have open: what the limit does not allow for is bounded,
/// so that what is left is enough for delivery.
struct DescriptorPlan: Hashable {
    /// The limit (`ulimit -n`).
    var limit: Int
    /// What the server has open whatever it does, on a machine with so many cores: each has an event loop.
    private var own: Int

    /// The limit with which no bound is lower than it could be.
    static let ample = 16384
    /// What a transform's process takes, in its own server or in starting.
    private static let filesOfProcess = 12
    /// The least that is left, beside its own, for delivery to go on.
    private static let least = 96

    /// A plan for a limit.
    init(limit: Int, cores: Int) {
        self.limit = limit
        own = 32 + 3 * cores
    }

    private var rest: Int { max(0, limit - own) }

    /// The least limit that the server can work with.
    var minimum: Int { own + Self.least }

    /// Whether the server can work.
    var isEnough: Bool { limit >= minimum }

    /// Whether nothing is bounded for want of files.
    var isAmple: Bool { limit >= Self.ample }

    /// Connections of clients.
    var connections: Int { min(Limits.maximumConnections, max(8, rest / 4)) }
    /// Connections to endpoints and clusters.
    var endpointConnections: Int {
        isAmple
            ? Limits.maximumEndpointConnections
            : min(Limits.maximumEndpointConnections, max(8, rest / 5))
    }
    /// Connections to buckets.
    var bucketConnections: Int { min(Limits.maximumBucketConnections, max(4, rest / 10)) }
    /// Processes of transforms, each of which has pipes: other streams wait for their turn.
    var transformProcesses: Int { isAmple ? .max : max(1, rest / 5 / Self.filesOfProcess) }
    /// Segments of logs: others are opened when they are used.
    var openSegments: Int { min(Limits.maximumOpenSegments, max(4, rest / 16)) }

    /// What is wrong where so many are open; nil where nothing is.
    ///
    /// What is left then, delivery needs: no stream is created.
    func shortage(openCount: Int) -> String? {
        guard openCount > limit - max(8, rest / 10) else { return nil }
        return "\(openCount) of \(limit) file descriptors are in use: raise the limit (ulimit -n, "
            + "or LimitNOFILE in the systemd unit)"
    }

    /// The same of what is open now.
    var shortage: String? { Descriptors.openCount.flatMap { shortage(openCount: $0) } }

    /// Raises the limit as far as the system allows, and makes a plan for that.
    ///
    /// - Throws: `SettingsError` where it is too low to work with.
    static func ofThisProcess() throws -> DescriptorPlan {
        let plan = DescriptorPlan(
            limit: Descriptors.raiseLimit(),
            cores: ProcessInfo.processInfo.activeProcessorCount
        )
        guard plan.isEnough else {
            throw SettingsError(
                description: "the limit on open files is \(plan.limit) (ulimit -n): hydrant needs "
                    + "at least \(plan.minimum), and \(ample) for its full number of connections"
            )
        }
        return plan
    }
}
