internal import Glibc
internal import Platform
internal import Synchronization

/// Runs worlds by their seeds: the same seed is the same world.
package enum Simulation {
    /// A world in which a rule was broken.
    package struct Failure: Sendable, CustomStringConvertible {
        /// Which world.
        package var seed: UInt64
        /// What was wrong.
        package var rules: [String]

        package var description: String { "seed \(seed): \(rules.joined(separator: "; "))" }
    }

    /// Runs one world.
    ///
    /// - Returns: What was wrong; empty where nothing was.
    package static func run(seed: UInt64) -> [String] {
        var world = World(seed: seed)
        return world.run()
    }

    /// Runs worlds until one fails, on some threads.
    ///
    /// Blocks.
    package static func run(_ seeds: Range<UInt64>, threads: Int = 1) -> Failure? {
        let found = Mutex<Failure?>(nil)
        let handles = (0..<threads).map { thread in
            startThread {
                var seed = seeds.lowerBound + UInt64(thread)
                while seed < seeds.upperBound {
                    let rules = run(seed: seed)
                    if !rules.isEmpty {
                        found.withLock { if $0 == nil { $0 = Failure(seed: seed, rules: rules) } }
                    }
                    guard found.withLock({ $0 == nil }) else { return }
                    seed += UInt64(threads)
                }
            }
        }
        for handle in handles { pthread_join(handle, nil) }
        return found.withLock { $0 }
    }
}
