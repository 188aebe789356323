internal import Destinations
internal import Platform
internal import Records
internal import Synchronization

/// Bounds the COPYs that run at one time, all streams together.
final class CopyGates: Sendable {
    /// For all of them.
    let all = Semaphore(Limits.maximumCopies)
    private let gates = Mutex<[String: Semaphore]>([:])

    /// For those of one warehouse; where they share a ledger, which each of them locks, one.
    func gate(_ warehouse: RedshiftConfiguration, isSingle: Bool) -> Semaphore {
        let name = "\(warehouse.host):\(warehouse.port)/\(warehouse.database)"
        return gates.withLock { gates in
            if let gate = gates[name] { return gate }
            let gate = Semaphore(isSingle ? 1 : Limits.maximumCopiesOfWarehouse)
            gates[name] = gate
            return gate
        }
    }
}
