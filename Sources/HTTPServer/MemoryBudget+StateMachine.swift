/// Decides who gets memory for a request's body, over all connections.
///
/// Charged is what has arrived and a little more, so that a slow body holds what it brought, and not what
/// it may bring. Bodies grow step by step out of one store, and a step is taken only if all that have begun
/// could still end one after the other (the banker's algorithm): they never wait for each other in a ring.
/// Small bodies have a store of their own, and do not wait for large ones.
struct MemoryBudgetStateMachine {
    /// A body's number.
    typealias Claim = UInt64

    private struct Body {
        /// Bytes that it is charged for.
        var held = 0
        /// Bytes that it may come to.
        var limit: Int
        /// Bytes that it wants to be charged for in all; nil where it does not wait.
        var wanted: Int?
        /// Whether it is in the store for small ones.
        var isSmall = false
    }

    private var bodies: [Claim: Body] = [:]
    /// Those that wait, in order.
    private var queue: [Claim] = []
    private var lastClaim: Claim = 0
    private(set) var free: Int
    private(set) var freeForSmall: Int
    private let largestSmall: Int

    /// Room for so many bytes of bodies, and beside it for so many of bodies that come to no more than
    /// `largestSmall`.
    init(bytes: Int, bytesForSmall: Int, largestSmall: Int) {
        free = bytes
        freeForSmall = bytesForSmall
        self.largestSmall = largestSmall
    }

    var isWaitedFor: Bool { !queue.isEmpty }

    /// A body begins that may come to `limit` bytes.
    mutating func begin(limit: Int) -> Claim {
        lastClaim += 1
        bodies[lastClaim] = Body(limit: limit)
        return lastClaim
    }

    /// A body is to be charged for `bytes` in all; false where it has to wait.
    mutating func grow(_ claim: Claim, to bytes: Int) -> Bool {
        guard var body = bodies[claim] else { preconditionFailure("the body has begun") }
        precondition(bytes <= body.limit && body.wanted == nil)
        if bytes <= body.held { return true }
        body.wanted = bytes
        bodies[claim] = body
        // Who has nothing yet stands behind those that wait.
        let isBehind = body.held == 0 && queue.contains { isLarge($0) } && isLarge(claim)
        if !isBehind, take(claim) { return true }
        queue.append(claim)
        return false
    }

    /// A body needs its memory no more, or is not waited for; gives those that wait no more.
    mutating func end(_ claim: Claim) -> [Claim] {
        guard let body = bodies.removeValue(forKey: claim) else { return [] }
        if body.wanted != nil { queue.removeAll { $0 == claim } }
        if body.isSmall { freeForSmall += body.held } else { free += body.held }
        guard !queue.isEmpty else { return [] }
        var ready: Set<Claim> = []
        var isBegun = true
        for waiting in queue {
            let isNew = bodies[waiting]?.held == 0 && isLarge(waiting)
            guard isBegun || !isNew else { continue }
            if take(waiting) { ready.insert(waiting) } else if isNew { isBegun = false }
        }
        let inOrder = queue.filter { ready.contains($0) }
        queue.removeAll { ready.contains($0) }
        return inOrder
    }

    private func isLarge(_ claim: Claim) -> Bool { (bodies[claim]?.limit ?? 0) > largestSmall }

    /// Charges a body for what it wants, if there is room.
    private mutating func take(_ claim: Claim) -> Bool {
        guard var body = bodies[claim], let wanted = body.wanted else { return false }
        let step = wanted - body.held
        if body.limit <= largestSmall, body.held == 0 || body.isSmall, step <= freeForSmall {
            freeForSmall -= step
            body.isSmall = true
        } else {
            guard !body.isSmall, step <= free else { return false }
            // What is given back while a large one waits is for that.
            if body.limit <= largestSmall,
                queue.contains(where: { isLarge($0) && bodies[$0]?.wanted != nil })
            {
                return false
            }
            body.held = wanted
            guard allCanEnd(with: body, as: claim, free: free - step) else { return false }
            free -= step
        }
        body.held = wanted
        body.wanted = nil
        bodies[claim] = body
        return true
    }

    /// Whether bodies that have memory can get what they may need yet, one after the other.
    private func allCanEnd(with changed: Body, as claim: Claim, free: Int) -> Bool {
        var room = free
        var others = [changed]
        var most = changed.limit - changed.held
        for (other, body) in bodies where other != claim && !body.isSmall && body.held > 0 {
            others.append(body)
            most = max(most, body.limit - body.held)
        }
        if room >= most { return true }
        others.sort { $0.limit - $0.held < $1.limit - $1.held }
        for body in others {
            guard body.limit - body.held <= room else { return false }
            room += body.held
        }
        return true
    }
}
