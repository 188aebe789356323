internal import Destinations
internal import Records
internal import Synchronization

/// Bounds the COPYs that run at one time, all streams together.
final class CopyGates: Sendable {
    /// For all of them.
    let all = Places(Limits.maximumCopies)
    private let gates = Mutex<[String: Places]>([:])

    /// For those of one warehouse; where they share a ledger, which each of them locks, one.
    func gate(_ warehouse: RedshiftConfiguration, isSingle: Bool) -> Places {
        let name = "\(warehouse.host):\(warehouse.port)/\(warehouse.database)"
        return gates.withLock { gates in
            if let gate = gates[name] { return gate }
            let gate = Places(isSingle ? 1 : Limits.maximumCopiesOfWarehouse)
            gates[name] = gate
            return gate
        }
    }
}
